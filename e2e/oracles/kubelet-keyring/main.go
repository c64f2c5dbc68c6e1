// Command kubelet-keyring prints which credentials the kubelet tries for an image, in order, by calling the kubelet's code.
// For each line {"image":…,"secrets":[{"name":…,"type":…,"data":{KEY:TEXT}}]} it prints {"repository":…,
// "keys":{NORMALIZED:[KEY…]},"tried":[{"secret":…,"key":…,"username":…,"password":…}]} or {"error":…}. The kubelet does not
// keep the original keys, so each entry repeats its key in `email`. It adds the entries of one secret in the random order
// of a Go map, so entries with the same normalized key are sorted here by secret and key.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"reflect"
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
	"k8s.io/kubernetes/pkg/util/parsers"
)

type request struct {
	Image   string `json:"image"`
	Secrets []struct {
		Name string            `json:"name"`
		Type string            `json:"type"`
		Data map[string]string `json:"data"`
	} `json:"secrets"`
}

type credential struct {
	Secret   string `json:"secret"`
	Key      string `json:"key"`
	Username string `json:"username"`
	Password string `json:"password"`
}

type response struct {
	Error      string              `json:"error,omitempty"`
	Repository string              `json:"repository,omitempty"`
	Keys       map[string][]string `json:"keys,omitempty"`
	Tried      []credential        `json:"tried,omitempty"`
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
		res, err := lookUp(r)
		if err != nil {
			res = response{Error: err.Error()}
		}
		if err := out.Encode(res); err != nil {
			log.Fatal(err)
		}
	}
}

// lookUp does what makeLookupPullCredentialsFunc does (pkg/kubelet/images/image_manager.go) on a node without credentials.
func lookUp(r request) (response, error) {
	repository, _, _, err := parsers.ParseImageName(r.Image)
	if err != nil {
		return response{}, err
	}
	var pullSecrets []v1.Secret
	for _, s := range r.Secrets {
		data := map[string][]byte{}
		for key, text := range s.Data {
			data[key] = []byte(text)
		}
		pullSecrets = append(pullSecrets, v1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: s.Name},
			Type:       v1.SecretType(s.Type),
			Data:       data,
		})
	}
	keyring, err := secrets.MakeDockerKeyring(pullSecrets, credentialprovider.UnionDockerKeyring{})
	if err != nil {
		return response{}, err
	}
	found, _ := keyring.Lookup(repository)
	keys, texts := normalizedKeys(keyring)
	return response{Repository: repository, Keys: keys, Tried: inFixedOrder(found, texts)}, nil
}

// normalizedKeys reads an unexported field of the keyring, because nothing else returns the normalized keys.
func normalizedKeys(keyring credentialprovider.DockerKeyring) (keys map[string][]string, texts map[string]string) {
	keys, texts = map[string][]string{}, map[string]string{}
	union, _ := keyring.(credentialprovider.UnionDockerKeyring)
	if len(union) == 0 {
		return
	}
	creds := reflect.ValueOf(union[0]).Elem().FieldByName("creds")
	for _, text := range creds.MapKeys() {
		list := creds.MapIndex(text)
		for i := range list.Len() {
			key := list.Index(i).FieldByName("Email").String()
			keys[text.String()] = append(keys[text.String()], key)
			texts[key] = text.String()
		}
		slices.Sort(keys[text.String()])
	}
	return
}

func inFixedOrder(found []credentialprovider.TrackedAuthConfig, texts map[string]string) []credential {
	var all []credential
	for _, one := range found {
		all = append(all, credential{one.Source.Secret.Name, one.Email, one.Username, one.Password})
	}
	for start := 0; start < len(all); {
		end := start
		for end < len(all) && all[end].Secret == all[start].Secret && texts[all[end].Key] == texts[all[start].Key] {
			end++
		}
		slices.SortFunc(all[start:end], func(a, b credential) int {
			return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Username, b.Username), cmp.Compare(a.Password, b.Password))
		})
		start = end
	}
	return all
}
