// What the programs' own loaders make of node files. Reads one question a line as JSON, answers each on a line:
//
//	{"loader":"containerd2","root":"DIR","host":"docker.io"}          hosts that containerd 2 would ask, in order
//	{"loader":"containerd1","root":"DIR","host":"docker.io"}          the same for containerd 1.7
//	{"loader":"crio","root":"DIR","image":"docker.io/library/a:1"}    places that CRI-O and Podman would pull from, in order
//	{"loader":"k3s","root":"DIR","image":"docker.io/library/a:1"}     endpoints that K3s' own loader would ask, in order
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	docker1 "github.com/containerd/containerd/remotes/docker"
	config1 "github.com/containerd/containerd/remotes/docker/config"
	docker2 "github.com/containerd/containerd/v2/core/remotes/docker"
	config2 "github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/sirupsen/logrus"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"
)

type question struct{ Loader, Root, Host, Image string }

type answer struct {
	Places []string `json:"places,omitempty"`
	Error  string   `json:"error,omitempty"`
}

func main() {
	logrus.SetOutput(io.Discard)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			panic(err)
		}
		places, err := ask(q)
		if err != nil {
			// Paths of this machine and of this run say nothing.
			encoder.Encode(answer{Error: strings.ReplaceAll(err.Error(), q.Root, "ROOT")})
			continue
		}
		encoder.Encode(answer{Places: places})
	}
}

func ask(q question) ([]string, error) {
	switch q.Loader {
	case "containerd2":
		return askContainerd2(q)
	case "containerd1":
		return askContainerd1(q)
	case "crio":
		return askCrio(q)
	case "k3s":
		return askK3s(filepath.Join(q.Root, "registries.yaml"), q.Image)
	}
	return nil, fmt.Errorf("unknown loader %q", q.Loader)
}

func askContainerd2(q question) ([]string, error) {
	options := config2.HostOptions{HostDir: config2.HostDirFromRoot(filepath.Join(q.Root, "certs.d"))}
	hosts, err := config2.ConfigureHosts(context.Background(), options)(q.Host)
	if err != nil {
		return nil, err
	}
	var places []string
	for _, h := range hosts {
		names := capabilities(h.Capabilities.Has(docker2.HostCapabilityPull), h.Capabilities.Has(docker2.HostCapabilityResolve))
		places = append(places, fmt.Sprintf("%s://%s%s %s", h.Scheme, h.Host, h.Path, names))
	}
	return places, nil
}

func askContainerd1(q question) ([]string, error) {
	options := config1.HostOptions{HostDir: config1.HostDirFromRoot(filepath.Join(q.Root, "certs.d"))}
	hosts, err := config1.ConfigureHosts(context.Background(), options)(q.Host)
	if err != nil {
		return nil, err
	}
	var places []string
	for _, h := range hosts {
		names := capabilities(h.Capabilities.Has(docker1.HostCapabilityPull), h.Capabilities.Has(docker1.HostCapabilityResolve))
		places = append(places, fmt.Sprintf("%s://%s%s %s", h.Scheme, h.Host, h.Path, names))
	}
	return places, nil
}

func capabilities(pull, resolve bool) string {
	var names []string
	if pull {
		names = append(names, "pull")
	}
	if resolve {
		names = append(names, "resolve")
	}
	return strings.Join(names, ",")
}

func askCrio(q question) ([]string, error) {
	empty := filepath.Join(q.Root, "registries.conf")
	if _, err := os.Stat(empty); err != nil {
		empty = "/dev/null"
	}
	system := &types.SystemContext{
		SystemRegistriesConfPath:    empty,
		SystemRegistriesConfDirPath: filepath.Join(q.Root, "registries.conf.d"),
	}
	named, err := reference.ParseNormalizedNamed(q.Image)
	if err != nil {
		return nil, err
	}
	named = reference.TagNameOnly(named)
	registry, err := sysregistriesv2.FindRegistry(system, named.Name())
	if err != nil {
		return nil, err
	}
	if registry == nil {
		return []string{named.String()}, nil
	}
	sources, err := registry.PullSourcesFromReference(named)
	if err != nil {
		return nil, err
	}
	var places []string
	for _, source := range sources {
		// Whether a place is blocked is looked up for the place itself (docker/docker_image_src.go, newImageSourceAttempt).
		blocked := false
		if at, err := sysregistriesv2.FindRegistry(system, source.Reference.Name()); err == nil && at != nil {
			blocked = at.Blocked
		}
		if blocked {
			continue
		}
		place := source.Reference.String()
		if source.Endpoint.Insecure {
			place += " insecure"
		}
		places = append(places, place)
	}
	return places, nil
}
