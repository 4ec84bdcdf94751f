package provisioner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/engine"
)

const (
	probeTimeout = 5 * time.Second
	probeBody    = 1 << 20
)

// target is a storefront, and what to ask it.
type target struct {
	// base is the URL to connect to, host the Host to ask for.
	base, host string
	// public and scheme are how shoppers reach the shop.
	public, scheme string
	checks         []v1alpha1.StorefrontCheck
}

// answer is the outcome of all checks of a storefront.
type answer struct {
	// err is the first check that did not succeed, or nil.
	err error
	at  time.Time
}

// probes asks storefronts in the background and wakes their stores when the
// answer is there: a shop that does not answer holds up no worker.
type probes struct {
	client *http.Client
	wake   func(cache.ObjectName)
	now    func() time.Time

	mu      sync.Mutex
	ctx     context.Context
	running sync.WaitGroup
	stores  map[types.UID]*probe
}

type probe struct {
	asking bool
	answer *answer
	told   bool // answer was returned by last
}

func newProbes(wake func(cache.ObjectName), now func() time.Time) *probes {
	return &probes{
		client: &http.Client{
			Timeout: probeTimeout,
			// A redirect is an answer, and rarely the wanted one.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			// Each probe is to find out whether a new shopper gets through.
			Transport: &http.Transport{DisableKeepAlives: true},
		},
		wake:   wake,
		now:    now,
		stores: map[types.UID]*probe{},
	}
}

// run lets probes start, and returns when ctx is done and all have ended.
func (p *probes) run(ctx context.Context) {
	p.mu.Lock()
	p.ctx = ctx
	p.mu.Unlock()
	<-ctx.Done()
	// A start that was under way has counted itself before the lock is free.
	p.mu.Lock()
	p.mu.Unlock() //nolint:staticcheck // The lock is taken to wait, not to hold.
	p.running.Wait()
}

// last is the newest answer, or nil if there is none since the last forget. It is
// news the first time.
func (p *probes) last(uid types.UID) (last *answer, news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stores[uid]
	if s == nil || s.answer == nil {
		return nil, false
	}
	news, s.told = !s.told, true
	return s.answer, news
}

// start asks the storefront of the store that key names, unless it is being
// asked already.
func (p *probes) start(key cache.ObjectName, uid types.UID, t target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil || p.ctx.Err() != nil {
		return
	}
	s := p.stores[uid]
	if s == nil {
		s = &probe{}
		p.stores[uid] = s
	}
	if s.asking {
		return
	}
	s.asking = true
	p.running.Go(func() {
		err := p.ask(p.ctx, t)
		p.mu.Lock()
		s.asking, s.answer, s.told = false, &answer{err: err, at: p.now()}, false
		// A probe that was forgotten meanwhile tells of a state that is past.
		current := p.stores[uid] == s
		p.mu.Unlock()
		if current {
			p.wake(key)
		}
	})
}

// forget drops what is known of a storefront, and what is being asked.
func (p *probes) forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stores, uid)
}

// ask makes the checks in their order and returns the first that fails.
func (p *probes) ask(ctx context.Context, t target) error {
	for _, check := range t.checks {
		if err := p.check(ctx, t, check); err != nil {
			return err
		}
	}
	return nil
}

func (p *probes) check(ctx context.Context, t target, check v1alpha1.StorefrontCheck) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.base+"/"+strings.TrimPrefix(check.Path, "/"), nil)
	if err != nil {
		return fmt.Errorf("GET %s: %w", check.Path, err)
	}
	request.Host = t.host
	request.Header.Set("X-Forwarded-Host", t.public)
	request.Header.Set("X-Forwarded-Proto", t.scheme)
	request.Header.Set("User-Agent", FieldManager)
	response, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("GET %s: %w", check.Path, withoutAddresses(err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, probeBody))
	if err != nil {
		return fmt.Errorf("GET %s: %w", check.Path, withoutAddresses(err))
	}
	return engine.CheckAnswer(check, response.StatusCode, body)
}

// withoutAddresses leaves out what differs from one attempt to the next, such as
// the local port: the same failure is to have the same message.
func withoutAddresses(err error) error {
	var operation *net.OpError
	if errors.As(err, &operation) {
		return fmt.Errorf("%s: %w", operation.Op, operation.Err)
	}
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}
