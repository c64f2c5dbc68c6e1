export async function benchApiServer(_: boolean): Promise<void> {}
