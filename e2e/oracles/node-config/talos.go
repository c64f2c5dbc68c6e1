package main

import (
	"os"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/types/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
)

// loadTalos lists the endpoints of a host in the order of the machine config, and `fallback` if Talos asks the host itself last.
func loadTalos(file, host string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	provider, err := configloader.NewFromBytes(text)
	if err != nil {
		return nil, err
	}
	for _, document := range provider.Documents() {
		// A patch of machine.registries is not a whole machine config, so only the other documents can be validated.
		validator, ok := document.(interface {
			Validate(validation.RuntimeMode, ...validation.Option) ([]string, error)
		})
		if _, isPatch := document.(*v1alpha1.Config); isPatch || !ok {
			continue
		}
		if _, err := validator.Validate(nil); err != nil {
			return nil, err
		}
	}
	mirrors := provider.RegistryMirrorConfigs()
	mirror, ok := mirrors[host]
	if !ok {
		mirror, ok = mirrors["*"]
	}
	if !ok {
		return []string{"fallback"}, nil
	}
	var places []string
	for _, endpoint := range mirror.Endpoints() {
		place := endpoint.Endpoint()
		if !endpoint.OverridePath() {
			place += "/v2"
		}
		places = append(places, place)
	}
	if !mirror.SkipFallback() {
		places = append(places, "fallback")
	}
	return places, nil
}
