package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// maxLine is the longest line of a log that is shown as one.
const maxLine = 1 << 20

// logs shows what a store's pods write.
type logs struct {
	*plugin
	options   corev1.PodLogOptions
	tail      int64
	since     time.Duration
	container string
	mu        sync.Mutex // held while a line is written
}

func (p *plugin) newLogs() *cobra.Command {
	l := &logs{plugin: p}
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show the logs of a store's pods",
		Long: `Show the logs of all pods of a store, each line with its pod and container.
It takes the right to read pods and their logs in the store's namespace.`,
		Example: `  # The latest lines of all that the shop runs
  kubectl store logs flowers

  # All of the last hour of the database, and what comes
  kubectl store logs flowers --container=postgres --since=1h --tail=-1 -f`,
		ValidArgsFunction: p.completeStores,
		RunE:              named(l.run),
	}
	cmd.Flags().BoolVarP(&l.options.Follow, "follow", "f", false, "Go on with what the pods write that run now, until interrupted.")
	cmd.Flags().BoolVarP(&l.options.Previous, "previous", "p", false, "Show the logs of the containers that ran before.")
	cmd.Flags().DurationVar(&l.since, "since", 0, "Show only what is younger than this, such as 5s, 2m or 3h. The default is all.")
	cmd.Flags().BoolVar(&l.options.Timestamps, "timestamps", false, "Begin each line with its time.")
	cmd.Flags().StringVarP(&l.container, "container", "c", "", "Show only the containers of this name.")
	cmd.Flags().Int64Var(&l.tail, "tail", 100, "Latest lines of each container to show; -1 shows all.")
	return cmd
}

func (l *logs) run(ctx context.Context, name string) error {
	switch {
	case l.since < 0:
		return fmt.Errorf("--since=%s must be greater than 0", l.since)
	case l.since > 0:
		seconds := int64(math.Ceil(l.since.Seconds()))
		l.options.SinceSeconds = &seconds
	}
	if l.tail >= 0 {
		l.options.TailLines = &l.tail
	}
	store, err := l.get(ctx, name)
	if err != nil {
		return err
	}
	namespace := store.Status.Namespace
	if namespace == "" {
		return fmt.Errorf("store %q has no namespace yet%s", name, because(store))
	}
	client, err := l.kubernetes()
	if err != nil {
		return err
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("you may not read the pods of store %q: it takes a role such as view in namespace %q: %w", name, namespace, err)
	}
	if err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		return fmt.Errorf("store %q has no pods in namespace %q%s", name, namespace, because(store))
	}
	containers, err := l.containers(pods.Items)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if !l.options.Follow {
		group.SetLimit(1) // one after the other
	}
	for _, c := range containers {
		group.Go(func() error { return l.stream(ctx, client, c.pod, c.name) })
	}
	return group.Wait()
}

// A podContainer is a container of a pod.
type podContainer struct {
	pod  *corev1.Pod
	name string
}

// containers are those whose logs are asked for.
func (l *logs) containers(pods []corev1.Pod) (chosen []podContainer, err error) {
	var names []string
	for i, pod := range pods {
		for _, container := range pod.Spec.Containers {
			if l.container == "" || container.Name == l.container {
				chosen = append(chosen, podContainer{&pods[i], container.Name})
			}
			names = append(names, container.Name)
		}
	}
	if len(chosen) == 0 {
		slices.Sort(names)
		return nil, fmt.Errorf("no pod of the store has a container %q: there are %s", l.container, strings.Join(slices.Compact(names), ", "))
	}
	return chosen, nil
}

// stream shows the log of one container. A container that has none yet is told
// of, and does not keep others from being shown.
func (l *logs) stream(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, container string) error {
	options := l.options
	options.Container = container
	source, err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &options).Stream(ctx)
	if apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) {
		_, _ = fmt.Fprintf(l.ErrOut, "%s/%s has no log: %v\n", pod.Name, container, err)
		return nil
	}
	if err != nil {
		return err
	}
	defer source.Close()
	return l.copy(source, pod.Name+"/"+container)
}

func (l *logs) copy(source io.Reader, from string) error {
	lines := bufio.NewScanner(source)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		l.mu.Lock()
		err := l.printf("[%s] %s", from, lines.Text())
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("reading the log of %s: %w", from, err)
	}
	return nil
}
