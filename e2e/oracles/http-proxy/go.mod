module berth.dev/e2e/oracles/http-proxy

go 1.26.6

require golang.org/x/net v0.49.0

require golang.org/x/text v0.33.0 // indirect
