// Command localcluster runs a real Kubernetes cluster of one node on this
// machine, without a container engine or an image registry.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"platform.dev/stores/hack/localcluster/internal/cluster"
	"platform.dev/stores/hack/localcluster/internal/controllers"
)

// errUnhealthy sets the exit status of status; the table has said the rest.
var errUnhealthy = errors.New("the cluster is not healthy")

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	command, err := newCommand()
	if err == nil {
		err = command.ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "localcluster:", err)
		cancel()
		os.Exit(1)
	}
}

// newCommand builds the command line. Paths default to places beside the
// folder that holds this binary, so they do not depend on where it is called.
func newCommand() (*cobra.Command, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	root := filepath.Dir(filepath.Dir(self))
	config := &cluster.Config{Bin: filepath.Dir(self)}
	command := &cobra.Command{
		Use:           "localcluster",
		Short:         "A real Kubernetes cluster of one node on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			config.Output, err = filepath.Abs(config.Output)
			return err
		},
	}
	command.PersistentFlags().StringVar(&config.Output, "output", filepath.Join(root, "localcluster"), "folder for all files of the cluster")
	command.AddCommand(newStart(config, filepath.Join(root, "kubeconfig")), newStatus(config), newStop(config), newLoad(config), newControllers(config))
	return command, nil
}

func newStart(config *cluster.Config, kubeconfig string) *cobra.Command {
	var pods, services string
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "start",
		Short: "Start the cluster, or what of it does not run, and wait until it is ready",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			var podsErr, servicesErr, pathErr error
			config.Pods, podsErr = netip.ParsePrefix(pods)
			config.Services, servicesErr = netip.ParsePrefix(services)
			config.Kubeconfig, pathErr = filepath.Abs(config.Kubeconfig)
			if err := errors.Join(podsErr, servicesErr, pathErr); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(command.Context(), timeout)
			defer cancel()
			return start(ctx, command.OutOrStdout(), *config)
		},
	}
	flags := command.Flags()
	flags.StringVar(&config.Kubeconfig, "kubeconfig", kubeconfig, "file for the administrator's credentials")
	flags.IntVar(&config.HTTPPort, "http-port", 8080, "port on localhost that Ingresses are served on")
	flags.IntVar(&config.APIPort, "api-port", 0, "port on localhost of the API server (default 6443, or any when that is taken)")
	flags.StringVar(&pods, "pod-cidr", "10.244.0.0/24", "network of the pods and the node")
	flags.StringVar(&services, "service-cidr", "10.96.0.0/16", "network of the services")
	flags.DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait until the cluster is ready")
	return command
}

func start(ctx context.Context, out io.Writer, config cluster.Config) error {
	began := time.Now()
	started, alreadyRunning, err := cluster.Start(ctx, config, printPhase(out))
	if err != nil {
		return err
	}
	if alreadyRunning {
		fmt.Fprintln(out, "The cluster is running already.")
	} else {
		fmt.Fprintf(out, "The cluster is ready after %.1fs.\n", time.Since(began).Seconds())
	}
	fmt.Fprintf(out, "  export KUBECONFIG=%s\n  Ingresses: http://<host>:%d\n", started.Kubeconfig, started.HTTPPort)
	return nil
}

func newStop(config *cluster.Config) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the cluster and remove everything it made, its data too",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if _, err := cluster.Load(config.Output); errors.Is(err, cluster.ErrNotRunning) {
				fmt.Fprintln(command.OutOrStdout(), "Nothing to stop.")
				return nil
			}
			return cluster.Stop(config.Output, printPhase(command.OutOrStdout()))
		},
	}
}

func newStatus(config *cluster.Config) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the health of every part; fails when one is not healthy",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			parts, err := cluster.Status(command.Context(), config.Output)
			if err != nil {
				return err
			}
			for _, part := range parts {
				health, process := "healthy", ""
				if part.Err != nil {
					health, err = part.Err.Error(), errUnhealthy
				}
				if part.PID != 0 {
					process = fmt.Sprint(part.PID)
				}
				fmt.Fprintf(command.OutOrStdout(), "%-24s %8s  %s\n", part.Name, process, health)
			}
			return err
		},
	}
}

func newLoad(config *cluster.Config) *cobra.Command {
	return &cobra.Command{
		Use:   "load IMAGE.tar...",
		Short: "Import OCI archives; images that are there already are skipped",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, archives []string) error {
			imported, err := cluster.LoadImages(command.Context(), config.Output, archives)
			for _, name := range imported {
				fmt.Fprintln(command.OutOrStdout(), "imported", name)
			}
			return err
		},
	}
}

// newControllers is what start runs in the background.
func newControllers(config *cluster.Config) *cobra.Command {
	return &cobra.Command{
		Use:    "controllers",
		Short:  "Serve volumes, Ingresses and the API server's address for pods",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(command *cobra.Command, _ []string) error {
			running, err := cluster.Load(config.Output)
			if err != nil {
				return err
			}
			return controllers.Run(klog.NewContext(command.Context(), klog.Background()), running)
		},
	}
}

func printPhase(out io.Writer) cluster.Phase {
	return func(name string, took time.Duration) {
		fmt.Fprintf(out, "%6.1fs  %s\n", took.Seconds(), name)
	}
}
