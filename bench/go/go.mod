module berth.dev/bench

go 1.24
