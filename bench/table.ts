export async function benchTable(_: boolean): Promise<void> {}
