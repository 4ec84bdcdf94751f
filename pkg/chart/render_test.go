package chart

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
)

// kubernetes is a cluster for templates.
func kubernetes() *chartutil.Capabilities {
	return &chartutil.Capabilities{KubeVersion: chartutil.KubeVersion{Version: "v1.37.2", Major: "1", Minor: "37"}, APIVersions: chartutil.VersionSet{"v1"}}
}

// chartOf loads a chart with these files beside its Chart.yaml.
func chartOf(t *testing.T, files map[string]string) *Chart {
	t.Helper()
	folder := fstest.MapFS{"shop/Chart.yaml": {Data: []byte("apiVersion: v2\nname: shop\nversion: 1.0.0\nkubeVersion: '>=1.30.0-0'\n")}}
	for name, text := range files {
		folder["shop/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	c, err := NewCharts(folder).Load(t.Context(), Source{Builtin: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRender(t *testing.T) {
	t.Parallel()
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
	for name, tc := range map[string]struct {
		files   map[string]string
		upgrade bool
		want    []string // kinds, names and titles
		fault   string
	}{
		"what helps and what is told": {files: map[string]string{
			"templates/NOTES.txt": "notes", "templates/_helpers.tpl": `{{ define "a" }}a{{ end }}`, "templates/empty.yaml": "{{ if false }}a: b{{ end }}",
			"templates/a.yaml": fmt.Sprintf(config, "a"),
		}, want: []string{"ConfigMap a"}},
		"several in a file": {files: map[string]string{"templates/a.yaml": fmt.Sprintf(config, "a") + "---\n" + fmt.Sprintf(config, "b") + "---\n# nothing\n"}, want: []string{"ConfigMap a", "ConfigMap b"}},
		"a list": {files: map[string]string{"templates/a.yaml": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n- {apiVersion: v1, kind: SecretList, items: [{apiVersion: v1, kind: Secret, metadata: {name: b}}]}\n"},
			want: []string{"Secret a", "Secret b"}},
		"hooks": {files: map[string]string{
			"templates/a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: test, annotations: {helm.sh/hook: test}}\n",
			"templates/b.yaml": fmt.Sprintf(config, "b"),
		}, want: []string{"ConfigMap b"}},
		"the release": {files: map[string]string{"templates/a.yaml": fmt.Sprintf(config, "a") + `data: {title: "{{ .Release.Name }} {{ .Release.Namespace }} {{ .Release.IsUpgrade }} {{ .Release.IsInstall }}"}`}, upgrade: true,
			want: []string{"ConfigMap a store store-flowers true false"}},
		"the values": {files: map[string]string{"values.yaml": "title: none\nname: a\n", "templates/a.yaml": fmt.Sprintf(config, "{{ .Values.name }}") + "data: {title: {{ .Values.title }}}\n"},
			want: []string{"ConfigMap a Flowers"}},
		"the cluster is not read": {files: map[string]string{"templates/a.yaml": fmt.Sprintf(config, "a") + `data: {title: "{{ len (lookup "v1" "Secret" "" "") }}{{ getHostByName "localhost" }}"}`},
			want: []string{"ConfigMap a 0"}},
		"another Kubernetes":    {files: map[string]string{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\nkubeVersion: '>=2.0.0'\n"}, fault: "requires Kubernetes >=2.0.0"},
		"a template that fails": {files: map[string]string{"templates/a.yaml": `{{ fail "no title" }}`}, fault: "no title"},
		"what is no manifest":   {files: map[string]string{"templates/a.yaml": "kind: [a"}, fault: "templates/a.yaml"},
		"too much":              {files: map[string]string{"templates/a.yaml": `{{ repeat 17000000 "a" }}`}, fault: "renders more than 16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chartOf(t, tc.files)
			objects, err := c.Render(Release{Name: "store", Namespace: "store-flowers", Upgrade: tc.upgrade}, map[string]any{"title": "Flowers"}, kubernetes())
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) {
					t.Errorf("got error %v, want one with %q", err, tc.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, object := range objects {
				text := fmt.Sprint(object["kind"], " ", object["metadata"].(map[string]any)["name"])
				if data, ok := object["data"].(map[string]any); ok {
					text += fmt.Sprint(" ", data["title"])
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenderChecksValues(t *testing.T) {
	t.Parallel()
	const schema = `{"type":"object","additionalProperties":false,"required":["title"],"properties":{
		"title":{"type":"string","maxLength":3},"part":{"type":"object"},"global":{},
		"size":{"type":"object","additionalProperties":false,"properties":{"web":{"type":"integer"}}}}}`
	files := map[string]string{
		"values.schema.json": schema, "charts/part/Chart.yaml": "apiVersion: v2\nname: part\nversion: 1.0.0\n",
		"charts/part/values.schema.json": `{"properties":{"port":{"maximum":65535}}}`,
	}
	for name, tc := range map[string]struct {
		values map[string]any
		want   []Fault
	}{
		"good":            {map[string]any{"title": "abc", "size": map[string]any{"web": int64(1)}}, nil},
		"too long":        {map[string]any{"title": "abcd"}, []Fault{{[]string{"title"}, "maxLength: got 4, want 3"}}},
		"missing":         {map[string]any{}, []Fault{{[]string{"title"}, "the chart needs this value"}}},
		"unknown, nested": {map[string]any{"title": "a", "size": map[string]any{"db": 1}}, []Fault{{[]string{"size", "db"}, "the chart has no such value"}}},
		"of a part":       {map[string]any{"title": "a", "part": map[string]any{"port": 70000}}, []Fault{{[]string{"part", "port"}, "maximum: got 70,000, want 65,535"}}},
		"several":         {map[string]any{"title": 1, "size": map[string]any{"web": "a"}}, []Fault{{[]string{"size", "web"}, "got string, want integer"}, {[]string{"title"}, "got number, want string"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := chartOf(t, files).Render(Release{}, tc.values, kubernetes())
			var refused *ValuesError
			if errors.As(err, &refused) != (tc.want != nil) {
				t.Fatalf("got error %v", err)
			}
			if refused == nil {
				return
			}
			byPath := cmp.Transformer("sort", func(faults []Fault) map[string]string {
				all := map[string]string{}
				for _, fault := range faults {
					all[strings.Join(fault.Path, ".")] = fault.Message
				}
				return all
			})
			if diff := cmp.Diff(tc.want, refused.Faults, byPath); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// A schema that refers to something else would have it fetched.
func TestSchemaLoadsNothing(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://127.0.0.1:1/schema.json", "file:///etc/hostname"} {
		c := chartOf(t, map[string]string{"values.schema.json": fmt.Sprintf(`{"$ref":%q}`, address)})
		_, err := c.Render(Release{}, nil, kubernetes())
		var refused *ValuesError
		if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "no URLLoader") {
			t.Errorf("%s: got error %v, want one that tells that nothing is loaded", address, err)
		}
	}
}
