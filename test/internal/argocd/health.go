// Package argocd runs health checks as Argo CD does: Lua without its standard library,
// but for its base and table functions, with the object in the global obj, and a
// second of time.
package argocd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// statuses are those that Argo CD knows; others count as an error there.
var statuses = []string{"Unknown", "Progressing", "Healthy", "Suspended", "Degraded", "Missing"}

// Health is what a check tells of an object.
type Health struct{ Status, Message string }

// HealthChecks are those of a ConfigMap argocd-cm.
type HealthChecks map[string]string

// LoadHealthChecks reads the ConfigMap's file.
func LoadHealthChecks(path string) (HealthChecks, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var settings corev1.ConfigMap
	if err := yaml.UnmarshalStrict(raw, &settings); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return settings.Data, nil
}

// Health runs the check of the object's kind. There must be one.
func (c HealthChecks) Health(object *unstructured.Unstructured) (Health, error) {
	kind := object.GroupVersionKind().GroupKind()
	script := c["resource.customizations.health."+kind.Group+"_"+kind.Kind]
	if script == "" {
		return Health{}, fmt.Errorf("there is no health check of %s", kind)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	state.SetContext(ctx)
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return Health{}, fmt.Errorf("opening library %q: %w", name, err)
		}
	}
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoString(script); err != nil {
		return Health{}, fmt.Errorf("running the health check of %s: %w", kind, err)
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return Health{}, fmt.Errorf("the health check of %s returns no table", kind)
	}
	health := Health{Status: lua.LVAsString(answer.RawGetString("status")), Message: lua.LVAsString(answer.RawGetString("message"))}
	if !slices.Contains(statuses, health.Status) {
		return health, fmt.Errorf("the health check of %s returns the status %q", kind, health.Status)
	}
	return health, nil
}

// value is a JSON value in Lua.
func value(state *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case bool:
		return lua.LBool(v)
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case []any:
		table := state.CreateTable(len(v), 0)
		for _, element := range v {
			table.Append(value(state, element))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(v))
		for key, element := range v {
			table.RawSetString(key, value(state, element))
		}
		return table
	}
	return lua.LNil
}
