package provisioner

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func TestProbeAsksAsAShopperDoes(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r }))
	defer shop.Close()
	p := newProbes(func(cache.ObjectName) {}, time.Now)
	err := p.ask(t.Context(), target{
		base: shop.URL, host: "flowers.localhost", public: "flowers.localhost:8080", scheme: "https",
		checks: []v1alpha1.StorefrontCheck{{Path: "/ready?deep=1"}},
	})
	if err != nil {
		t.Fatalf("ask: %v", err)
	}
	r := <-seen
	got := []string{r.Method, r.RequestURI, r.Host, r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto")}
	want := "GET /ready?deep=1 flowers.localhost flowers.localhost:8080 https"
	if strings.Join(got, " ") != want {
		t.Errorf("the shop was asked %v, want %s", got, want)
	}
}

func TestProbeFails(t *testing.T) {
	t.Parallel()
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	large := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat("x", probeBody) + "Flowers"))
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		check  v1alpha1.StorefrontCheck
		want   string
	}{
		"a redirect is not followed":    {redirect, v1alpha1.StorefrontCheck{Path: "/"}, "GET / answered 302, not 200"},
		"a body is read up to a limit":  {large, v1alpha1.StorefrontCheck{Path: "/", Contains: "Flowers"}, `GET / answered 200 without "Flowers" in the body`},
		"a broken connection is stable": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, v1alpha1.StorefrontCheck{Path: "/"}, "GET /: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := httptest.NewServer(tc.answer)
			defer shop.Close()
			p := newProbes(func(cache.ObjectName) {}, time.Now)
			err := p.ask(t.Context(), target{base: shop.URL, checks: []v1alpha1.StorefrontCheck{tc.check}})
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		shop := httptest.NewServer(nil)
		shop.Close()
		p := newProbes(func(cache.ObjectName) {}, time.Now)
		err := p.ask(t.Context(), target{base: shop.URL, checks: []v1alpha1.StorefrontCheck{{Path: "/"}}})
		if want := "GET /: dial: connect: connection refused"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	})
}

func TestForgottenProbeCountsForNothing(t *testing.T) {
	t.Parallel()
	asked, let := make(chan struct{}), make(chan struct{})
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-let }))
	defer shop.Close()
	woken := make(chan cache.ObjectName, 2)
	p := newProbes(func(key cache.ObjectName) { woken <- key }, time.Now)
	p.ctx = t.Context()
	where := target{base: shop.URL, checks: []v1alpha1.StorefrontCheck{{Path: "/"}}}
	p.start(testKey, "a", where)
	<-asked
	p.start(testKey, "a", where) // Being asked already: no second request waits at asked.
	p.forget("a")
	let <- struct{}{}
	p.running.Wait()
	if a, _ := p.last("a"); a != nil || len(woken) > 0 {
		t.Errorf("the forgotten probe left %v and woke the store %d times", a, len(woken))
	}
	p.start(testKey, "a", where)
	<-asked
	let <- struct{}{}
	p.running.Wait()
	if a, news := p.last("a"); a == nil || a.err != nil || !news || len(woken) != 1 {
		t.Errorf("the next probe left %v, news: %v, and woke the store %d times", a, news, len(woken))
	}
	if _, news := p.last("a"); news {
		t.Error("an answer is news twice")
	}
}
