package main

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/rancher/wharfie/pkg/registries"
)

var (
	recorder sync.Once
	mutex    sync.Mutex
	seen     []string
	pulled   []string
)

// loadK3s lets the loader pull through a proxy that responds with 404 and records the requests, because the loader does not
// export its list of endpoints. The proxy sees only the host of an https endpoint. The second result has the images that
// http endpoints were asked for, after rewrites.
func loadK3s(file, image string) ([]string, []string, error) {
	recorder.Do(startRecorder)
	loaded, err := registries.GetPrivateRegistries(file)
	if err != nil {
		return nil, nil, err
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		return nil, nil, err
	}
	mutex.Lock()
	seen, pulled = nil, nil
	mutex.Unlock()
	// Fails at every endpoint, in order.
	_, _ = loaded.Image(ref)
	mutex.Lock()
	defer mutex.Unlock()
	var places []string
	for _, place := range seen {
		if len(places) == 0 || places[len(places)-1] != place {
			places = append(places, place)
		}
	}
	return places, pulled, nil
}

func startRecorder() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	proxy := "http://" + listener.Addr().String()
	for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Setenv(variable, proxy)
	}
	for _, variable := range []string{"NO_PROXY", "no_proxy"} {
		os.Unsetenv(variable)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go record(connection)
		}
	}()
}

func record(connection net.Conn) {
	defer connection.Close()
	request, err := http.ReadRequest(bufio.NewReader(connection))
	if err != nil {
		return
	}
	mutex.Lock()
	defer mutex.Unlock()
	status := "404 Not Found"
	path := strings.TrimSuffix(request.URL.Path, "/")
	before, tag, isManifest := strings.Cut(path, "/manifests/")
	switch {
	case request.Method == http.MethodConnect:
		seen = append(seen, "https://"+strings.TrimSuffix(request.Host, ":443"))
	case isManifest:
		pulled = append(pulled, request.URL.Scheme+"://"+request.URL.Host+before+":"+tag)
	default:
		// The loader asks for the API version first.
		status = "200 OK"
		seen = append(seen, request.URL.Scheme+"://"+request.URL.Host+path)
	}
	connection.Write([]byte("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
}
