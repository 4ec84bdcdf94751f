#!/usr/bin/env bash
# Writes everything that is generated from the API types: under pkg/ deepcopy,
# defaults, conversions, validations, OpenAPI and the typed clients, and docs/api.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOBIN="$PWD/_output/bin/codegen"
module=platform.dev/stores
boilerplate=hack/boilerplate.go.txt

# A module that has not been downloaded has no folder.
go mod download k8s.io/code-generator
# shellcheck source=/dev/null
source "$(go list -m -f '{{.Dir}}' k8s.io/code-generator)/kube_codegen.sh"

# validation-gen cannot follow metav1.Condition from outside Kubernetes: its
# hand-written check lives in another package than the type. With meta/v1 off
# the list, and the fields of its types tagged opaque, it does not try to.
all_readonly=("${KUBE_CODEGEN_READONLY_PKGS[@]}")
KUBE_CODEGEN_READONLY_PKGS=(time)
kube::codegen::gen_helpers --boilerplate "$boilerplate" pkg/apis
KUBE_CODEGEN_READONLY_PKGS=("${all_readonly[@]}")

kube::codegen::gen_openapi \
  --output-dir pkg/generated/openapi --output-pkg "$module/pkg/generated/openapi" \
  --output-model-name-file zz_generated.model_name.go \
  --report-filename hack/api-violations.list ${UPDATE_API_VIOLATIONS:+--update-report} \
  --extra-pkgs k8s.io/apimachinery/pkg/util/intstr \
  --boilerplate "$boilerplate" pkg/apis

kube::codegen::gen_client --with-watch --with-applyconfig \
  --applyconfig-openapi-schema <(go run ./pkg/generated/openapi/cmd/models-schema) \
  --output-dir pkg/generated --output-pkg "$module/pkg/generated" \
  --boilerplate "$boilerplate" pkg/apis

# The generated Extract functions name models after their Go types, too.
sed -i 's/"dev\.platform\.stores\.pkg\.apis\.platform\.v1alpha1\./"dev.platform.v1alpha1./' pkg/generated/applyconfiguration/platform/v1alpha1/*.go

mkdir -p docs/api
go run ./hack/api-reference >docs/api/README.md
