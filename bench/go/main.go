// The bare server in Go: net/http over TLS 1.3. It reads with encoding/json the few fields that an image webhook needs,
// and always returns the same patch.
package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
)

type review struct {
	Request struct {
		UID    string          `json:"uid"`
		Object json.RawMessage `json:"object"`
	} `json:"request"`
}

type pod struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Containers []struct {
			Name  string `json:"name"`
			Image string `json:"image"`
		} `json:"containers"`
	} `json:"spec"`
}

type response struct {
	UID       string `json:"uid"`
	Allowed   bool   `json:"allowed"`
	PatchType string `json:"patchType"`
	Patch     []byte `json:"patch"`
}

type answer struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Response   response `json:"response"`
}

var patch = []byte(`[{"op":"add","path":"/spec/containers/0/image","value":"mirror.bench:5000/fixed:latest"}]`)

func mutate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var asked review
	var object pod
	if json.Unmarshal(body, &asked) != nil || json.Unmarshal(asked.Request.Object, &object) != nil {
		http.Error(w, "not a review", http.StatusBadRequest)
		return
	}
	made, err := json.Marshal(answer{
		APIVersion: "admission.k8s.io/v1",
		Kind:       "AdmissionReview",
		Response:   response{UID: asked.Request.UID, Allowed: true, PatchType: "JSONPatch", Patch: patch},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(made)))
	_, _ = w.Write(made)
}

func main() {
	port, cert, key := os.Args[1], os.Args[2], os.Args[3]
	http.HandleFunc("/mutate", mutate)
	server := &http.Server{
		Addr:      "127.0.0.1:" + port,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13},
		// The API server calls webhooks with HTTP/1.1.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	log.Fatal(server.ListenAndServeTLS(cert, key))
}
