// Command json-patch applies JSON Patches as an API server does (apiserver, mutating/dispatcher.go): with the same
// library, in the same version. It reads lines {"object":…,"patch":[…]} and prints for each {"ok":true,"result":…} or
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

type question struct {
	Object json.RawMessage `json:"object"`
	Patch  json.RawMessage `json:"patch"`
}

type answer struct {
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
		var q question
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		a := answer{OK: true}
		if result, err := apply(q); err != nil {
			a = answer{Error: err.Error()}
		} else {
			a.Result = result
		}
		if err := out.Encode(a); err != nil {
			log.Fatal(err)
		}
	}
}

func apply(q question) ([]byte, error) {
	patch, err := jsonpatch.DecodePatch(q.Patch)
	if err != nil {
		return nil, err
	}
	return patch.Apply(q.Object)
}
