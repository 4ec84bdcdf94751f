package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// tableAccept asks the server for what `kubectl get` shows.
const tableAccept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

// get shows a store as it was.
type get struct {
	*plugin
	output   *genericclioptions.PrintFlags
	at       string
	revision string
}

func (p *plugin) newGet() *cobra.Command {
	g := &get{plugin: p, output: printFlags("")}
	cmd := &cobra.Command{
		Use:   "get NAME [--at=MOMENT | --revision=REVISION]",
		Short: "Show a store as it is, or as it was at any time",
		Long: `Show a store as it was at any time that the server remembers, also if it was deleted
since. Without a time it is the store as it is now. The past is read of one name at a
time: there is no list of it.`,
		Example: `  # The store as it was at a time
  kubectl store get flowers --at=2006-01-02T15:04:05Z -o yaml

  # What has changed since
  diff <(kubectl store get flowers --at=2006-01-02T15:04:05Z -o yaml) <(kubectl store get flowers -o yaml)

  # Make a deleted store again as it was after one of its revisions
  kubectl store get flowers --revision=1234 -o json | jq 'del(.status, .metadata)+{metadata: {name: "flowers"}}' | kubectl create -f -`,
		ValidArgsFunction: p.completeStores,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && (g.at != "" || g.revision != "") {
				return fmt.Errorf("the past is read of one store at a time: name it before --at or --revision\nSee '%s --help' for usage", cmd.CommandPath())
			}
			return named(g.run)(cmd, args)
		},
	}
	cmd.Flags().StringVar(&g.at, "at", "", "Show what had the name at this moment: a time as in RFC 3339, or the resourceVersion of any store or engine.")
	cmd.Flags().StringVar(&g.revision, "revision", "", "Show the store as this revision of it left it.")
	addWideOutput(cmd, g.output)
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"at": cobra.NoFileCompletions, "revision": p.completeRevisions, "output": formats(g.output, "wide"),
	})
	return cmd
}

func (g *get) run(ctx context.Context, name string) error {
	if g.at != "" && g.revision != "" {
		return errors.New("--at and --revision must not be given together: leave one of them out")
	}
	request, err := g.request(name)
	if err != nil {
		return err
	}
	switch {
	case g.at != "":
		request.SubResource("history").Param("at", g.at)
	case g.revision != "":
		request.SubResource("history").Param("resourceVersion", g.revision)
	}
	if wide := *g.output.OutputFormat == "wide"; wide || !g.output.OutputFlagSpecified() && *g.output.TemplatePrinterFlags.TemplateArgument == "" {
		return g.table(ctx, request, wide)
	}
	store := &v1alpha1.Store{}
	if err := request.Do(ctx).Into(store); err != nil {
		return err
	}
	return g.print(g.output, store)
}

// table prints the server's own table of the store.
func (g *get) table(ctx context.Context, request *rest.Request, wide bool) error {
	result := request.SetHeader("Accept", tableAccept).Do(ctx)
	if err := result.Error(); err != nil { // reads it, as Raw does not
		return err
	}
	answer, err := result.Raw()
	if err != nil {
		return err
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(answer, table); err != nil {
		return fmt.Errorf("reading the server's table: %w", err)
	}
	return printers.NewTablePrinter(printers.PrintOptions{Wide: wide}).PrintObj(table, g.Out)
}

// request asks for a store of the user's namespace.
func (p *plugin) request(name string) (*rest.Request, error) {
	client, err := p.platform()
	if err != nil {
		return nil, err
	}
	namespace, _, err := p.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, err
	}
	return client.RESTClient().Get().Namespace(namespace).Resource("stores").Name(name), nil
}

// addWideOutput adds the flags of output, with one more format that is not theirs.
func addWideOutput(cmd *cobra.Command, output *genericclioptions.PrintFlags) {
	output.AddFlags(cmd)
	flag := cmd.Flags().Lookup("output")
	flag.Usage = strings.Replace(flag.Usage, "(", "(wide, ", 1)
}
