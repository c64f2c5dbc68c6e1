// Command json-patch applies JSON Patches with the library and the version that an API server uses (apiserver,
// mutating/dispatcher.go). For each line {"object":…,"patch":[…]} it prints {"ok":true,"result":…} or
// {"ok":false,"error":…}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

type request struct {
	Object json.RawMessage `json:"object"`
	Patch  json.RawMessage `json:"patch"`
}

type response struct {
	OK     bool            `json:"ok"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

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
		res := response{OK: true}
		if result, err := apply(r); err != nil {
			res = response{Error: err.Error()}
		} else {
			res.Result = result
		}
		if err := out.Encode(res); err != nil {
			log.Fatal(err)
		}
	}
}

func apply(r request) ([]byte, error) {
	patch, err := jsonpatch.DecodePatch(r.Patch)
	if err != nil {
		return nil, err
	}
	return patch.Apply(r.Object)
}
