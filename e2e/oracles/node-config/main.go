// Command node-config reads node files with the loaders of the container runtimes. It reads one request per line as JSON and
// prints one response per line:
//
//	{"loader":"containerd2","root":"DIR","host":"docker.io"}          hosts that containerd 2 tries, in order
//	{"loader":"containerd1","root":"DIR","host":"docker.io"}          the same for containerd 1.7
//	{"loader":"crio","root":"DIR","image":"docker.io/library/a:1"}    sources that CRI-O and Podman pull from, in order
//	{"loader":"crioShort","root":"DIR","image":"a:1"}                 the same for a short name, which has no registry
//	{"loader":"k3s","root":"DIR","image":"docker.io/library/a:1"}     endpoints that K3s' loader tries, in order
//	{"loader":"talos","root":"DIR","host":"docker.io"}                endpoints in Talos' machine config
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
	"go.podman.io/image/v5/pkg/shortnames"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"
)

type request struct{ Loader, Root, Host, Image string }

type response struct {
	Places []string `json:"places,omitempty"`
	Images []string `json:"images,omitempty"`
	Error  string   `json:"error,omitempty"`
}

func main() {
	logrus.SetOutput(io.Discard)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			panic(err)
		}
		places, images, err := load(r)
		if err != nil {
			// Replaces the path, which differs in every run.
			encoder.Encode(response{Error: strings.ReplaceAll(err.Error(), r.Root, "ROOT")})
			continue
		}
		encoder.Encode(response{Places: places, Images: images})
	}
}

func load(r request) (places, images []string, err error) {
	switch r.Loader {
	case "containerd2":
		places, err = loadContainerd2(r)
	case "containerd1":
		places, err = loadContainerd1(r)
	case "crio":
		places, err = loadCrio(r, r.Image)
	case "crioShort":
		places, err = loadCrioShort(r)
	case "k3s":
		return loadK3s(filepath.Join(r.Root, "registries.yaml"), r.Image)
	case "talos":
		places, err = loadTalos(filepath.Join(r.Root, "talos.yaml"), r.Host)
	default:
		err = fmt.Errorf("unknown loader %q", r.Loader)
	}
	return places, nil, err
}

func loadContainerd2(r request) ([]string, error) {
	options := config2.HostOptions{HostDir: config2.HostDirFromRoot(filepath.Join(r.Root, "certs.d"))}
	hosts, err := config2.ConfigureHosts(context.Background(), options)(r.Host)
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

func loadContainerd1(r request) ([]string, error) {
	options := config1.HostOptions{HostDir: config1.HostDirFromRoot(filepath.Join(r.Root, "certs.d"))}
	hosts, err := config1.ConfigureHosts(context.Background(), options)(r.Host)
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

func systemContext(root string) *types.SystemContext {
	file := filepath.Join(root, "registries.conf")
	if _, err := os.Stat(file); err != nil {
		file = "/dev/null"
	}
	// CRI-O itself checks for more than one candidate (internal/storage/image.go).
	mode := types.ShortNameModeDisabled
	return &types.SystemContext{
		SystemRegistriesConfPath:    file,
		SystemRegistriesConfDirPath: filepath.Join(root, "registries.conf.d"),
		UserShortNameAliasConfPath:  filepath.Join(root, "short-name-aliases.conf"),
		ShortNameMode:               &mode,
	}
}

func loadCrioShort(r request) ([]string, error) {
	resolved, err := shortnames.Resolve(systemContext(r.Root), r.Image)
	if err != nil {
		return nil, err
	}
	var places []string
	for _, candidate := range resolved.PullCandidates {
		each, err := loadCrio(r, candidate.Value.String())
		if err != nil {
			return nil, err
		}
		places = append(places, each...)
	}
	return places, nil
}

func loadCrio(r request, image string) ([]string, error) {
	system := systemContext(r.Root)
	named, err := reference.ParseNormalizedNamed(image)
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
		// The runtime looks up whether the source itself is blocked (docker/docker_image_src.go, newImageSourceAttempt).
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
