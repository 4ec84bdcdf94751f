package chart

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/Masterminds/semver/v3"
)

// An index of a repository names an address of an archive of the version that is asked
// for, or of one that it allows, or is refused.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{
		"entries: {shop: [{version: 1.2.3, digest: abc, urls: [shop-1.2.3.tgz]}, {version: 1.3.0, urls: ['https://example.com/a.tgz']}]}",
		"entries: {shop: [{version: 1.2.3, urls: ['file:///etc/passwd']}]}", "entries: {shop: [null]}", "entries: {shop: {}}", "entries: null", "&a [*a]",
		"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]",
	} {
		f.Add([]byte(seed), "1.2.3")
		f.Add([]byte(seed), ">=1.0.0 || x")
		f.Add([]byte(seed), "<1.3.0")
	}
	f.Fuzz(func(t *testing.T, document []byte, version string) {
		found, address, err := find(document, Source{RepositoryURL: "https://charts.example.com/shops", RepositoryChart: "shop", Version: version})
		if err != nil {
			if !errors.Is(err, ErrChart) {
				t.Errorf("an error that is not ErrChart: %v", err)
			}
			return
		}
		if parsed, err := url.Parse(address); err != nil || !parsed.IsAbs() || found == nil {
			t.Fatalf("the archive is at %q: %v", address, err)
		}
		if found.Version == version {
			return
		}
		allowed, err := semver.NewConstraint(version)
		if err != nil {
			t.Fatalf("found version %q for %q", found.Version, version)
		}
		if v, err := semver.NewVersion(found.Version); err != nil || !allowed.Check(v) {
			t.Errorf("found version %q for %q", found.Version, version)
		}
	})
}

// Whatever a chart says of itself, its schema and the values of a store, it is refused,
// or renders objects, or tells why it does not. Its templates are its author's: they can
// run for as long as they like.
func FuzzChart(f *testing.F) {
	const about = "apiVersion: v2\nname: shop\nversion: 1.2.3\n"
	for _, seed := range [][4]string{
		{about, "title: none", `{}`, `{"title":"Flowers"}`},
		{about + "dependencies: [{name: db, repository: 'file:///etc', version: '*', condition: db.on}]\n", "db: {on: true}", `{"additionalProperties":false}`, `{"a":1}`},
		{about + "dependencies: [{name: db, import-values: [{child: a, parent: b}], tags: [x]}]\n", "tags: {x: 1}", `{"$ref":"file:///etc/passwd"}`, `{"tags":"x"}`},
		{about, "title: [a]", `{"required":["a"]}`, `{"a":{"b":null},"global":1}`},
		{about + "type: library\n", "- a", `{"type":5}`, `{}`},
		{"name: ../x\nversion: ", "a: &a [*a]", `[`, `[]`},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	chart := shop(f)
	f.Fuzz(func(t *testing.T, about, defaults, schema, values string) {
		files := maps.Clone(chart)
		files["shop/Chart.yaml"] = &fstest.MapFile{Data: []byte(about)}
		files["shop/values.yaml"] = &fstest.MapFile{Data: []byte(defaults)}
		files["shop/values.schema.json"] = &fstest.MapFile{Data: []byte(schema)}
		read, err := readArchive(bytes.NewReader(archive(t, files)))
		if err != nil {
			if !errors.Is(err, ErrChart) {
				t.Errorf("an error that is not ErrChart: %v", err)
			}
			return
		}
		var given map[string]any
		if json.Unmarshal([]byte(values), &given) != nil {
			return
		}
		objects, err := read.Render(Release{Name: "store", Namespace: "store-a"}, given, kubernetes())
		var refused *ValuesError
		if errors.As(err, &refused) && len(refused.Faults) == 0 {
			t.Error("values are refused without a fault")
		}
		if slices.ContainsFunc(objects, func(object map[string]any) bool { return len(object) == 0 }) {
			t.Error("an object of nothing")
		}
	})
}

// Bytes that are not an archive of a chart are refused. What is read of others has a name,
// a version and files that are in the chart, and is the same again.
func FuzzArchive(f *testing.F) {
	whole := archive(f, shop(f))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := readArchive(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrChart) {
				t.Errorf("an error that is not ErrChart: %v", err)
			}
			return
		}
		if read.Name == "" || read.Version == "" {
			t.Errorf("a chart %q of version %q", read.Name, read.Version)
		}
		for _, file := range read.files {
			if !filepath.IsLocal(file.Name) {
				t.Errorf("a chart with file %q", file.Name)
			}
		}
		if again, err := readArchive(bytes.NewReader(data)); err != nil || again.Digest != read.Digest {
			t.Errorf("read again it has digest %s, %v, want %s", again.Digest, err, read.Digest)
		}
	})
}
