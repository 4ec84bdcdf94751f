package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	t.Parallel()
	suite := &suite{
		functions:    []string{"RunTestGet", "RunTestList"},
		cacherTests:  map[string][]string{"RunTestList": {"TestLists"}},
		notForCaches: []string{"with_limit"},
	}
	raw := []string{"pass TestConformance/RunTestGet/sub", "pass TestConformance/RunTestList", "pass "}
	cached := []string{"pass TestLists/a", "skip TestLists/a/with_limit", "pass TestLists", "pass "}
	for _, test := range []struct {
		name        string
		raw, cached []string // instead of the above
		want        string
		fails       bool
	}{
		{name: "all pass", want: "raw 2/2, cacher 1/1, 0 skipped (2 and 2 tests pass; 1 are not meant for caches)"},
		{name: "a function is not run", raw: []string{"pass TestConformance/RunTestGet", "pass "},
			want: "raw: RunTestList does not pass\nraw 1/2, cacher 1/1, 0 skipped", fails: true},
		{name: "a function fails once", raw: append([]string{"fail TestOther/RunTestGet", "fail "}, raw[:2]...),
			want: "raw 1/2", fails: true},
		{name: "a function is skipped", raw: []string{"skip TestConformance/RunTestGet", raw[1], "pass "},
			want: "skipped: TestConformance/RunTestGet\nraw: RunTestGet does not pass\nraw 1/2, cacher 1/1, 1 skipped", fails: true},
		{name: "a cache is tested by a case too few", cached: append([]string{"skip TestLists/a/other"}, cached...),
			want: "skipped: TestLists/a/other", fails: true},
		{name: "a cached function fails", cached: []string{"fail TestLists", "fail "},
			want: "raw 2/2, cacher 0/1", fails: true},
		{name: "another test of the cache fails", cached: append([]string{"fail TestOther", "fail "}, cached[:3]...),
			want: "raw 2/2, cacher 1/1", fails: true},
		{name: "the package fails after its tests", cached: append([]string{"fail "}, cached[:3]...),
			want: "raw 2/2, cacher 1/1", fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.raw == nil {
				test.raw = raw
			}
			if test.cached == nil {
				test.cached = cached
			}
			var out bytes.Buffer
			err := report(&out, suite, outcomes(test.raw), outcomes(test.cached))
			if !strings.Contains(out.String(), test.want) || (err != nil) != test.fails {
				t.Errorf("printed, with error %v:\n%s\nwant an error: %t, and:\n%s", err, &out, test.fails, test.want)
			}
		})
	}
}

func outcomes(lines []string) results {
	r := results{outcome: map[string]string{}, output: map[string]*bytes.Buffer{"": {}}}
	for _, line := range lines {
		outcome, name, _ := strings.Cut(line, " ")
		r.outcome[name] = outcome
		r.output[name] = &bytes.Buffer{}
	}
	return r
}

// TestParseSuite reads the version of the API server that the platform is built with.
func TestParseSuite(t *testing.T) {
	t.Parallel()
	upstream, err := upstreamDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	suite, err := parseSuite(upstream)
	if err != nil {
		t.Fatal(err)
	}
	if len(suite.functions) < 60 || len(suite.cacherTests) < 48 {
		t.Errorf("found %d functions and %d for caches, there were 60 and 48 in version 0.37", len(suite.functions), len(suite.cacherTests))
	}
	if !suite.exempts("TestLists/List/test_List_with_limit_at_resource_version_0") || suite.exempts("TestLists/List/list_all_items") {
		t.Errorf("the cases not meant for caches are %q", suite.notForCaches)
	}
}
