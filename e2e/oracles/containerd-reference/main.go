// Command containerd-reference prints which host containerd pulls an image from, by calling the code of the kubelet and of
// containerd's CRI plugin. For each line "IMAGE" it prints {"pulled":…,"host":…} or {"error":…}.
package main

import (
	"bufio"
	_ "crypto/sha256" // The kubelet and containerd register the algorithms of digests in this way.
	_ "crypto/sha512"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	containerdreference "github.com/containerd/containerd/v2/pkg/reference"
	"github.com/distribution/reference"
)

type response struct {
	// Pulled is the name that containerd resolves.
	Pulled string `json:"pulled,omitempty"`
	Host   string `json:"host,omitempty"`
	Error  string `json:"error,omitempty"`
}

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	buffered := bufio.NewWriter(os.Stdout)
	defer buffered.Flush()
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	for {
		var image string
		if err := in.Decode(&image); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		res, err := resolve(image)
		if err != nil {
			res = response{Error: err.Error()}
		}
		if err := out.Encode(res); err != nil {
			log.Fatal(err)
		}
	}
}

func resolve(image string) (response, error) {
	// The kubelet (pkg/kubelet/images, applyDefaultImageTag).
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return response{}, err
	}
	if reference.IsNameOnly(named) {
		image = reference.TagNameOnly(named).String()
	}
	// containerd (internal/cri/server/images, PullImage).
	ref, err := reference.ParseDockerRef(image)
	if err != nil {
		return response{}, err
	}
	// The resolver of containerd (core/remotes/docker, resolver.base).
	spec, err := containerdreference.Parse(ref.String())
	if err != nil {
		return response{}, err
	}
	if spec.Object == "" {
		return response{}, containerdreference.ErrObjectRequired
	}
	return response{Pulled: ref.String(), Host: spec.Hostname()}, nil
}
