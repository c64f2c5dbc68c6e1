// Command policy-globs prints what policy engines say about globs and images, by calling their own code. For each line
// {"engine":"kyverno"|"gobwas"|"sigstore","glob":…,"image":…} it prints {"matches":BOOL}, or {"error":…} for a glob or an
// image that the engine does not accept. "kyverno" is verifyImages of a ClusterPolicy, "gobwas" an ImageValidatingPolicy,
// and "sigstore" a ClusterImagePolicy.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"github.com/gobwas/glob"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/kyverno/kyverno/ext/wildcard"
	"github.com/kyverno/kyverno/pkg/config"
	"github.com/kyverno/kyverno/pkg/utils/image"
	sigstore "github.com/sigstore/policy-controller/pkg/apis/glob"
)

type request struct {
	Engine string `json:"engine"`
	Glob   string `json:"glob"`
	Image  string `json:"image"`
}

type response struct {
	Matches bool `json:"matches"`
}

type refusal struct {
	Error string `json:"error"`
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
		matches, err := match(r)
		var answer any = response{Matches: matches}
		if err != nil {
			answer = refusal{Error: err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
}

func match(r request) (bool, error) {
	switch r.Engine {
	case "kyverno":
		info, err := image.GetImageInfo(r.Image, config.NewDefaultConfiguration(false))
		if err != nil {
			return false, err
		}
		return wildcard.Match(r.Glob, info.String()), nil
	case "gobwas":
		compiled, err := glob.Compile(r.Glob)
		if err != nil {
			return false, err
		}
		return compiled.Match(r.Image), nil
	default:
		// As validateContainerImage does: it passes the name, not the image.
		ref, err := name.ParseReference(r.Image)
		if err != nil {
			return false, err
		}
		return sigstore.Match(r.Glob, ref.Name())
	}
}
