package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd/api"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

const (
	// completionTimeout is how long somebody who presses a key is kept waiting.
	completionTimeout = 3 * time.Second
	// completedRevisions is how many revisions somebody may want to choose from.
	completedRevisions = 50
)

// kubectlCompletion is the program that kubectl asks for the words of this plugin. It
// looks for it on the PATH under the name kubectl_complete-store.
const kubectlCompletion = `#!/bin/sh
# Completes the words of kubectl store, for kubectl.
exec kubectl-store __complete "$@"
`

// addCompletion adds what completes command lines: the scripts, and the values of the
// flags that all commands share.
func (p *plugin) addCompletion(root *cobra.Command) {
	// Commands inherit those of the flags that their parents have.
	completeFlags(root, map[string]cobra.CompletionFunc{
		"namespace": p.completeNamespaces,
		"context":   p.completeConfig(func(c api.Config) []string { return slices.Collect(maps.Keys(c.Contexts)) }),
		"cluster":   p.completeConfig(func(c api.Config) []string { return slices.Collect(maps.Keys(c.Clusters)) }),
		"user":      p.completeConfig(func(c api.Config) []string { return slices.Collect(maps.Keys(c.AuthInfos)) }),
	})
	root.InitDefaultCompletionCmd()
	scripts, _, err := root.Find([]string{"completion"})
	if err != nil {
		panic(err) // it was just added
	}
	scripts.AddCommand(&cobra.Command{
		Use:   "kubectl",
		Short: "Print the program by which kubectl completes this plugin",
		Long: `Print the program that kubectl asks for the words of this plugin. Put it on the PATH
under the name kubectl_complete-store: then kubectl's own completion, which has to be
set up, knows kubectl store.`,
		Example: `  kubectl store completion kubectl >~/.local/bin/kubectl_complete-store
  chmod +x ~/.local/bin/kubectl_complete-store`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return p.printf("%s", strings.TrimSpace(kubectlCompletion)) },
	})
}

// completeFlags says what the values of a command's flags may be.
func completeFlags(cmd *cobra.Command, flags map[string]cobra.CompletionFunc) {
	if cmd.Flags().Lookup("dry-run") != nil {
		flags["dry-run"] = oneOf("none", "server", "client")
	}
	for name, complete := range flags {
		if err := cmd.RegisterFlagCompletionFunc(name, complete); err != nil {
			panic(err) // no such flag
		}
	}
}

func oneOf(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

// formats are those of --output.
func formats(output *genericclioptions.PrintFlags, more ...string) cobra.CompletionFunc {
	return oneOf(append(more, output.AllowedFormats()...)...)
}

// complete makes a completion of a function that asks the server. What it cannot tell
// is no reason to disturb who types.
func complete(ask func(ctx context.Context, cmd *cobra.Command, args []string) ([]cobra.Completion, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		all, err := ask(ctx, cmd, args)
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		fitting := slices.DeleteFunc(all, func(c cobra.Completion) bool { return !strings.HasPrefix(c, typed) })
		// In the order given, which for revisions is the newest first.
		return fitting, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

func (p *plugin) completeStores(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return complete(func(ctx context.Context, _ *cobra.Command, _ []string) (names []cobra.Completion, err error) {
		stores, _, err := p.stores()
		if err != nil {
			return nil, err
		}
		list, err := stores.List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, store := range list.Items {
			names = append(names, cobra.CompletionWithDesc(store.Name, store.Spec.Engine+" "+store.Spec.Plan))
		}
		return names, nil
	})(cmd, args, typed)
}

func (p *plugin) completeEngines(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return complete(func(ctx context.Context, _ *cobra.Command, _ []string) (names []cobra.Completion, err error) {
		client, err := p.platform()
		if err != nil {
			return nil, err
		}
		list, err := client.Engines().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, engine := range list.Items {
			names = append(names, cobra.CompletionWithDesc(engine.Name, oneLine(engine.Spec.DisplayName)))
		}
		return names, nil
	})(cmd, args, typed)
}

// ofEngine completes by the engine that the command line names.
func (p *plugin) ofEngine(names func(*v1alpha1.Engine) []cobra.Completion) cobra.CompletionFunc {
	return complete(func(ctx context.Context, cmd *cobra.Command, _ []string) ([]cobra.Completion, error) {
		name := cmd.Flag("engine").Value.String()
		if name == "" {
			return nil, nil
		}
		client, err := p.platform()
		if err != nil {
			return nil, err
		}
		engine, err := client.Engines().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return names(engine), nil
	})
}

func (p *plugin) completePlans(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.ofEngine(func(engine *v1alpha1.Engine) (names []cobra.Completion) {
		for _, plan := range engine.Spec.Plans {
			names = append(names, cobra.CompletionWithDesc(plan.Name, oneLine(plan.Description)))
		}
		return names
	})(cmd, args, typed)
}

func (p *plugin) completeVersions(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.ofEngine(func(engine *v1alpha1.Engine) (names []cobra.Completion) {
		for _, version := range engine.Spec.Versions {
			names = append(names, version.Name)
		}
		return names
	})(cmd, args, typed)
}

func (p *plugin) completeRevisions(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return complete(func(ctx context.Context, _ *cobra.Command, args []string) (revisions []cobra.Completion, err error) {
		if len(args) == 0 {
			return nil, nil
		}
		found, err := (&history{plugin: p, limit: completedRevisions}).collect(ctx, args[0], 0)
		if err != nil {
			return nil, err
		}
		for _, item := range found.Items {
			what := fmt.Sprintf("%s %s %s", item.Time.UTC().Format(time.RFC3339), item.User, item.Verb)
			if item.Verb == "update" && len(item.Changes) > 0 {
				what += " " + item.Changes[0].Path
			}
			revisions = append(revisions, cobra.CompletionWithDesc(item.ResourceVersion, what))
		}
		return revisions, nil
	})(cmd, args, typed)
}

func (p *plugin) completeBackups(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return complete(func(ctx context.Context, _ *cobra.Command, args []string) (names []cobra.Completion, err error) {
		if len(args) == 0 {
			return nil, nil
		}
		store, err := p.get(ctx, args[0])
		if err != nil {
			return nil, err
		}
		for _, backup := range store.Status.Backups {
			names = append(names, cobra.CompletionWithDesc(backup.Name, "version "+backup.Version))
		}
		return names, nil
	})(cmd, args, typed)
}

func (p *plugin) completeNamespaces(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return complete(func(ctx context.Context, _ *cobra.Command, _ []string) (names []cobra.Completion, err error) {
		client, err := p.kubernetes()
		if err != nil {
			return nil, err
		}
		list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, namespace := range list.Items {
			names = append(names, namespace.Name)
		}
		return names, nil
	})(cmd, args, typed)
}

// completeConfig completes by what the user's kubeconfig has.
func (p *plugin) completeConfig(names func(api.Config) []string) cobra.CompletionFunc {
	return complete(func(context.Context, *cobra.Command, []string) ([]cobra.Completion, error) {
		config, err := p.config.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, err
		}
		all := names(config)
		slices.Sort(all)
		return all, nil
	})
}

// oneLine keeps a description from being taken for more words.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
