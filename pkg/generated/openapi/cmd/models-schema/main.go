// Command models-schema prints the OpenAPI v2 models of the platform API as
// JSON, from which the apply configurations are generated.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"platform.dev/stores/pkg/generated/openapi"
)

func main() {
	if err := json.NewEncoder(os.Stdout).Encode(swagger()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func swagger() *spec.Swagger {
	definitions := spec.Definitions{}
	for name, definition := range openapi.GetOpenAPIDefinitions(reference) {
		// An embedded v2 schema is what the v2 document wants where a type has one.
		if v2, ok := definition.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			definition.Schema = v2
		}
		definitions[name] = definition.Schema
	}
	// The generator of apply configurations looks models up by the names of their Go
	// types, not by those that they have been given.
	for name := range definitions {
		if kind, ours := strings.CutPrefix(name, "dev.platform.v1alpha1."); ours {
			definitions["dev.platform.stores.pkg.apis.platform.v1alpha1."+kind] = spec.Schema{SchemaProps: spec.SchemaProps{Ref: reference(name)}}
		}
	}
	return &spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "platform.dev", Version: "v1alpha1"}},
		Paths:       &spec.Paths{},
		Definitions: definitions,
	}}
}

func reference(name string) spec.Ref {
	return spec.MustCreateRef("#/definitions/" + name)
}
