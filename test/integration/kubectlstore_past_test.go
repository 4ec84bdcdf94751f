package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A store is shown as it was, in every way that kubectl shows what is.
func TestKubectlStoreGetsThePast(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngine(t)
	created := create(t, k.namespace, newStore("flowers", engine))
	k.run("", "patch", "store", "flowers", "-p", `{"spec":{"plan":"large"}}`)
	first := created.ResourceVersion
	at := getHistory(t, k.namespace, "flowers", "").Items[1].Time.UTC().Format(time.RFC3339Nano)
	row := func(output string) string {
		fields := strings.Fields(strings.Split(output, "\n")[1])
		return strings.Join(fields[:len(fields)-1], " ") // all but the age
	}
	check := func(plan string, args ...string) {
		t.Helper()
		get := append([]string{"store", "get", "flowers"}, args...)
		wantOutput(t, "table", "flowers "+engine.Name+" "+plan+" Unknown Pending", row(k.run("", get...)))
		contains(t, k.run("", append(get, "-o", "wide")...), "VERSION", "OWNER", "admin")
		contains(t, k.run("", append(get, "-o", "yaml")...), "kind: Store", "plan: "+plan)
		contains(t, k.run("", append(get, "-o", "json")...), `"plan": "`+plan+`"`)
		wantOutput(t, "-o name", "store.platform.dev/flowers\n", k.run("", append(get, "-o", "name")...))
		wantOutput(t, "-o jsonpath", plan, k.run("", append(get, "-o", "jsonpath={.spec.plan}")...))
		wantOutput(t, "--template", plan, k.run("", append(get, "--template={{.spec.plan}}")...))
	}
	check("large")
	check("small", "--revision="+first)
	check("small", "--at="+first)
	check("small", "--at="+at)
	remove(t, created)
	check("small", "--at="+at)
	k.refuse("", []string{"store", "get", "flowers"}, `Error from server (NotFound): stores.platform.dev "flowers" not found`)
	contains(t, k.run("", "store", "history", "flowers"), "delete", "spec.plan: small -> large")
}

// What happens to a store is added to what has happened, and Ctrl-C ends that as kubectl does.
func TestKubectlStoreHistoryWatch(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngine(t)
	store := create(t, k.namespace, newStore("flowers", engine))
	history := k.follow("store", "history", "flowers", "--watch")
	history.expect("REVISION")
	history.expect(store.ResourceVersion, "create")
	setReady(t, store, metav1.ConditionTrue) // no news
	k.run("", "patch", "store", "flowers", "-p", `{"spec":{"plan":"large"}}`)
	history.expect("admin", "update", "spec.plan: small -> large")
	remove(t, store)
	history.expect("update", "metadata.finalizers")
	history.expect("delete")
	history.interrupt()
}

// kubectl's own completion knows the plugin's words, and those of the cluster.
func TestKubectlStoreCompletes(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngine(t)
	script := k.run("", "store", "completion", "kubectl")
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "kubectl_complete-store"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	k.path += string(filepath.ListSeparator) + folder
	for _, shell := range []string{"bash", "zsh", "fish"} {
		contains(t, k.run("", "store", "completion", shell), "kubectl-store", "__complete")
	}
	create(t, k.namespace, newStore("flowers", engine))
	created := create(t, k.namespace, newStore("books", engine))
	for name, test := range map[string]struct {
		words []string
		want  []string
	}{
		"commands":         {[]string{"h"}, []string{"help", "history"}},
		"stores":           {[]string{"get", ""}, []string{"books", "flowers"}},
		"begun store":      {[]string{"history", "f"}, []string{"flowers"}},
		"one store only":   {[]string{"open", "flowers", ""}, nil},
		"another's stores": {[]string{"get", "-n", "default", "b"}, nil},
		"engine":           {[]string{"create", "bread", "--engine", engine.Name}, []string{engine.Name}},
		"plan":             {[]string{"create", "bread", "--engine=" + engine.Name, "--plan", ""}, []string{"small", "large"}},
		"plan, no engine":  {[]string{"create", "bread", "--plan", ""}, nil},
		"version":          {[]string{"create", "bread", "--engine=" + engine.Name, "--version", ""}, []string{"1.0", "2.0"}},
		"dry run":          {[]string{"create", "bread", "--dry-run", ""}, []string{"none", "server", "client"}},
		"revision":         {[]string{"rollback", "books", "--to-revision", ""}, []string{created.ResourceVersion}},
		"namespace":        {[]string{"get", "-n", k.namespace}, []string{k.namespace}},
		"format":           {[]string{"get", "books", "-o", "w"}, []string{"wide"}},
	} {
		t.Run(name, func(t *testing.T) {
			for by, args := range map[string][]string{"kubectl": {"__complete", "store"}, "the plugin": {"store", "__complete"}} {
				r := k.try("", append(args, test.words...)...)
				var got []string
				for line := range strings.Lines(r.stdout) {
					if word, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); !strings.HasPrefix(word, ":") && strings.HasPrefix(word, test.words[len(test.words)-1]) {
						got = append(got, word)
					}
				}
				if strings.Join(got, " ") != strings.Join(test.want, " ") {
					t.Errorf("%s completes %q, want %q: %s", by, got, test.want, r.stderr)
				}
			}
		})
	}
}
