// Command http-proxy prints which proxy Go uses for a URL, by calling golang.org/x/net/http/httpproxy. For each line
// {"env":{NAME:VALUE},"url":…} it prints {"proxy":"SCHEME://USER:PASSWORD@HOST:PORT"}, with an empty proxy for a direct
// connection, or {"error":…}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/url"
	"os"

	"golang.org/x/net/http/httpproxy"
)

type request struct {
	Env map[string]string `json:"env"`
	URL string            `json:"url"`
}

type response struct {
	Proxy string `json:"proxy"`
	Error string `json:"error,omitempty"`
}

var variables = []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	buffered := bufio.NewWriter(os.Stdout)
	defer buffered.Flush()
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	for {
		var r request
		if err := in.Decode(&r); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(choose(r)); err != nil {
			log.Fatal(err)
		}
	}
}

func choose(r request) response {
	for _, name := range variables {
		if err := os.Setenv(name, r.Env[name]); err != nil {
			log.Fatal(err)
		}
	}
	target, err := url.Parse(r.URL)
	if err != nil {
		log.Fatal(err)
	}
	proxy, err := httpproxy.FromEnvironment().ProxyFunc()(target)
	if err != nil {
		return response{Error: err.Error()}
	}
	if proxy == nil {
		return response{}
	}
	return response{Proxy: proxy.String()}
}
