package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/violations"
)

// settleTimeout is how long after the last kill a store may take to settle.
const settleTimeout = time.Minute

// patienceOfTests bounds every wait without a promise of its own.
const patienceOfTests = 3 * time.Minute

// Options say what a run does. All of its randomness comes from Seed, but for the time
// that everything takes.
type Options struct {
	Seed  uint64
	Users int           // each with 13 stores
	Kills int           // at least so many,
	Cover bool          // at least one at every point that can be hit,
	Limit time.Duration // but no longer than this
	Log   io.Writer
}

// Summary is the result of a run.
type Summary struct {
	Seed       uint64
	Took       time.Duration
	Names      int
	Creates    int64
	Updates    int64
	Deletes    int64
	TooEarly   int64 // creations while the store before was still going
	Kills      map[string]int
	Points     int // that were seen
	Covered    int // of them, where a replica has died
	Missed     []string
	Alone      int // replicas that had lost their lease, and ended
	Writes     int // by provisioners, in the audit log
	Revisions  int // of releases
	Stores     int // at the end
	Settled    time.Duration
	Stuck      int
	Violations map[string]int
	Texts      []string // the first violations
}

// Failed reports whether anything was found.
func (s *Summary) Failed() bool { return len(s.Violations) > 0 }

func (s *Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %v\n", s.Seed, s.Took.Round(time.Second))
	fmt.Fprintf(&b, "%10d names of stores: %d created, %d changed, %d deleted; %d creations came while the one before was going\n",
		s.Names, s.Creates, s.Updates, s.Deletes, s.TooEarly)
	counts := func(what string, counts map[string]int) {
		fmt.Fprintf(&b, "%10d %s\n", sum(counts), what)
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&b, "%18d %s\n", counts[name], name)
		}
	}
	counts("kills:", s.Kills)
	fmt.Fprintf(&b, "%10d points before and after requests seen, provisioners died at %d of them\n", s.Points, s.Covered)
	for _, point := range s.Missed {
		fmt.Fprintf(&b, "%18s %s\n", "missed", point)
	}
	fmt.Fprintf(&b, "%10d provisioners ended by themselves, their lease lost\n", s.Alone)
	fmt.Fprintf(&b, "%10d writes in shops, by the audit log; %d revisions of releases\n", s.Writes, s.Revisions)
	fmt.Fprintf(&b, "%10d stores at the end, all settled %v after the last kill, %d stuck\n", s.Stores, s.Settled.Round(100*time.Millisecond), s.Stuck)
	counts("violations", s.Violations)
	for _, text := range s.Texts {
		fmt.Fprintf(&b, "- %s\n", text)
	}
	return b.String()
}

// scene is where runs take place.
type scene struct {
	env      *harness.Environment
	database *postgrestest.Server
	barracks *barracks
	engine   string // of shops with a volume
	quick    string // of shops without, whose namespaces go at once
	stores   clientset.Interface
	core     kubernetes.Interface
}

// run has users and the nemesis at work until there were enough kills, waits for
// calm, and checks everything. An error is of the run itself.
func (s *scene) run(ctx context.Context, options Options) (*Summary, error) {
	began := time.Now()
	found := &violations.Log{}
	observing, stop := context.WithCancel(ctx)
	defer stop()
	o := observe(observing, s.core, found)
	n := newNemesis(options.Seed, s.barracks, s.env, s.database, found, options.Log)
	users, err := s.users(ctx, options, found)
	if err != nil {
		return nil, err
	}

	limited, cancel := context.WithTimeout(ctx, options.Limit)
	defer cancel()
	enough, stopUsers := context.WithCancel(ctx)
	defer stopUsers()
	var all sync.WaitGroup
	for _, u := range users {
		all.Go(func() { u.run(ctx, enough) })
	}
	left, err := n.run(limited, []string{"a", "b"}, options)
	stopUsers()
	all.Wait()
	for _, k := range left {
		if k != nil {
			defer k.end()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("killing: %w", err)
	}
	r := &records{found: found, pauses: n.pauses}
	for _, u := range users {
		r.lives = append(r.lives, u.lives...)
	}
	took, stuck, err := s.settle(ctx, n.last, settleTimeout, r.lives)
	if err != nil {
		return nil, err
	}
	for _, text := range stuck {
		found.Add("stuck", "%s", text)
	}
	err = s.collect(ctx, r)
	err = errors.Join(err, o.catchUp(ctx, s.core))
	if err != nil {
		return nil, fmt.Errorf("collecting what there is: %w", err)
	}
	stop()
	r.revisions = o.all()
	r.check()

	sum := &Summary{
		Seed: options.Seed, Took: time.Since(began), Names: len(users) * storesPerUser, Kills: n.kills, Points: len(n.seen), Covered: len(n.died),
		Creates: users[0].counts.creates.Load(), Updates: users[0].counts.updates.Load(), Deletes: users[0].counts.deletes.Load(),
		TooEarly: users[0].counts.tooEarly.Load(),
		Alone:    n.alone, Writes: len(r.writes), Stores: len(r.stores), Settled: took, Stuck: len(stuck), Violations: found.Count, Texts: found.Texts,
	}
	for point := range n.seen {
		if n.died[point] == 0 && options.Cover {
			sum.Missed = append(sum.Missed, point)
		}
	}
	for _, revisions := range r.revisions {
		sum.Revisions += len(revisions)
	}
	return sum, nil
}

// users are the users of a run, each with a namespace.
func (s *scene) users(ctx context.Context, options Options, found *violations.Log) ([]*user, error) {
	shared := &counts{}
	var users []*user
	for i := range options.Users {
		namespace, err := s.core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "user-"}}, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("creating a user's namespace: %w", err)
		}
		u := &user{
			engine: s.engine, stores: s.stores.PlatformV1alpha1().Stores(namespace.Name), rng: rand.New(rand.NewPCG(options.Seed, uint64(100+i))),
			found: found, counts: shared, now: map[string]*life{},
		}
		for j := range storesPerUser {
			u.names = append(u.names, fmt.Sprintf("shop-%d-%d", i, j))
		}
		users = append(users, u)
	}
	return users, nil
}

// settle waits until every store is what was asked for, and every deleted one is
// gone. It returns how long after the last kill that was, and what is stuck after the
// time that is allowed.
func (s *scene) settle(ctx context.Context, last time.Time, allowed time.Duration, lives []*life) (time.Duration, []string, error) {
	deleted := map[types.UID]bool{}
	for _, l := range lives {
		deleted[l.UID] = l.Deleted
	}
	for {
		list, err := s.stores.PlatformV1alpha1().Stores(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil && ctx.Err() != nil {
			return 0, nil, err
		}
		var stuck []string
		if err != nil {
			stuck = []string{err.Error()}
		} else {
			for i := range list.Items {
				if store := &list.Items[i]; deleted[store.UID] || !settled(store) {
					stuck = append(stuck, describeStore(store))
				}
			}
		}
		took := time.Since(last)
		if len(stuck) == 0 || took > allowed {
			return took, stuck, nil
		}
		sleep(ctx, 250*time.Millisecond)
	}
}

// describeStore tells what a store waits for.
func describeStore(s *v1alpha1.Store) string {
	text := fmt.Sprintf("%s/%s %s generation %d, deleted: %v", s.Namespace, s.Name, s.UID, s.Generation, s.DeletionTimestamp != nil)
	for _, c := range s.Status.Conditions {
		text += fmt.Sprintf("\n    %s=%s at %d, %s: %s", c.Type, c.Status, c.ObservedGeneration, c.Reason, c.Message)
	}
	return text
}

// collect reads all that there is.
func (s *scene) collect(ctx context.Context, r *records) (err error) {
	if r.writes, err = readAudit(s.env.AuditLog()); err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	stores, err := s.stores.PlatformV1alpha1().Stores(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.stores, r.histories = stores.Items, map[types.UID][]string{}
	for i := range r.stores {
		if r.histories[r.stores[i].UID], err = s.history(ctx, &r.stores[i]); err != nil {
			return err
		}
	}
	namespaces, err := s.core.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: provisioner.LabelStoreUID})
	if err != nil {
		return err
	}
	r.namespaces, r.titles = map[string]map[string]string{}, map[string]string{}
	for _, namespace := range namespaces.Items {
		r.namespaces[namespace.Name] = namespace.Labels
	}
	settings, err := s.core.CoreV1().ConfigMaps(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=settings"})
	if err != nil {
		return err
	}
	for _, setting := range settings.Items {
		r.titles[setting.Namespace] = setting.Data["title"]
	}
	claims, err := s.core.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, claim := range claims.Items {
		r.claims = append(r.claims, claim.Namespace)
	}
	volumes, err := s.core.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, volume := range volumes.Items {
		r.volumes = append(r.volumes, volume.Spec.ClaimRef.Namespace)
	}
	releases, err := s.core.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil {
		return err
	}
	for _, release := range releases.Items {
		r.releases = append(r.releases, release.Namespace)
	}
	return nil
}

// history returns the display names that our server's history of a store tells of.
func (s *scene) history(ctx context.Context, store *v1alpha1.Store) ([]string, error) {
	var titles []string
	for next := ""; ; {
		page := &v1alpha1.StoreHistory{}
		request := s.stores.PlatformV1alpha1().RESTClient().Get().Namespace(store.Namespace).Resource("stores").Name(store.Name).SubResource("history")
		if next != "" {
			request = request.Param("continue", next)
		}
		if err := request.Do(ctx).Into(page); err != nil {
			return nil, fmt.Errorf("reading the history of store %s/%s: %w", store.Namespace, store.Name, err)
		}
		for _, item := range page.Items {
			for _, change := range item.Changes {
				if change.Path == "spec.displayName" && change.To != nil {
					titles = append(titles, *change.To)
				}
			}
		}
		if next = page.Continue; next == "" {
			slices.Reverse(titles)
			return titles, nil
		}
	}
}

// clear leaves no store and nothing of one. It needs a replica of its own.
func (s *scene) clear(ctx context.Context) error {
	k, err := s.barracks.keep("clear")
	if err != nil {
		return err
	}
	defer k.end()
	client := s.stores.PlatformV1alpha1()
	stores, err := client.Stores(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var lives []*life
	for _, store := range stores.Items {
		if err := client.Stores(store.Namespace).Delete(ctx, store.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		lives = append(lives, &life{UID: store.UID, Deleted: true})
	}
	if _, stuck, err := s.settle(ctx, time.Now(), patienceOfTests, lives); err != nil || len(stuck) > 0 {
		return fmt.Errorf("stores are left: %q: %w", stuck, err)
	}
	// Those that were to be kept.
	retained := metav1.ListOptions{LabelSelector: provisioner.LabelRetained}
	namespaces, err := s.core.CoreV1().Namespaces().List(ctx, retained)
	if err != nil {
		return err
	}
	for _, namespace := range namespaces.Items {
		if err := s.core.CoreV1().Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		namespaces, err := s.core.CoreV1().Namespaces().List(ctx, retained)
		volumes, volumesErr := s.core.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err == nil && volumesErr == nil && len(namespaces.Items)+len(volumes.Items) == 0 {
			return nil
		}
		sleep(ctx, 100*time.Millisecond)
	}
	return ctx.Err()
}
