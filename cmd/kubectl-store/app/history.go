package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// history shows a store's past.
type history struct {
	*plugin
	output   *genericclioptions.PrintFlags
	at       string
	revision string
	all      bool
	limit    int
}

func (p *plugin) newHistory() *cobra.Command {
	h := &history{plugin: p, output: printFlags("")}
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show who changed a store, when and what; or the store as it was",
		Example: `  # Who changed the store
  kubectl store history flowers

  # With the IDs that the audit logs of the cluster give the requests
  kubectl store history flowers -o wide

  # The store as it was at a time
  kubectl store history flowers --at=2006-01-02T15:04:05Z`,
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error { return h.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&h.at, "at", "", "Show the store as it was at this time, as in RFC 3339.")
	cmd.Flags().StringVar(&h.revision, "revision", "", "Show the store as this revision left it.")
	cmd.Flags().BoolVar(&h.all, "all", false, "Show also what only reported the store's status.")
	cmd.Flags().IntVar(&h.limit, "limit", 0, "Show the latest so many revisions. The default is all.")
	h.output.AddFlags(cmd)
	cmd.Flags().Lookup("output").Usage += " For the list of revisions also wide."
	return cmd
}

func (h *history) run(ctx context.Context, name string) error {
	if h.at != "" && h.revision != "" {
		return errors.New("--at and --revision cannot be given together")
	}
	client, err := h.platform()
	if err != nil {
		return err
	}
	_, namespace, err := h.stores()
	if err != nil {
		return err
	}
	request := func() *rest.Request {
		return client.RESTClient().Get().Namespace(namespace).Resource("stores").Name(name).SubResource("history")
	}
	if h.at != "" || h.revision != "" {
		if *h.output.OutputFormat == "wide" {
			return errors.New("--output=wide is for the list of revisions: it cannot be given with --at or --revision")
		}
		past := request()
		if h.at != "" {
			past = past.Param("at", h.at)
		} else {
			past = past.Param("resourceVersion", h.revision)
		}
		store := &v1alpha1.Store{}
		if err := past.Do(ctx).Into(store); err != nil {
			return err
		}
		if !h.output.OutputFlagSpecified() {
			*h.output.OutputFormat = "yaml"
		}
		return h.print(h.output, store)
	}
	found, err := h.collect(ctx, request)
	if err != nil {
		return err
	}
	wide := *h.output.OutputFormat == "wide"
	if h.output.OutputFlagSpecified() && !wide {
		return h.print(h.output, found)
	}
	return h.table(found, wide)
}

// collect reads page after page until there is as much as was asked for.
func (h *history) collect(ctx context.Context, request func() *rest.Request) (*v1alpha1.StoreHistory, error) {
	found := &v1alpha1.StoreHistory{Items: []v1alpha1.StoreRevision{}}
	for next := ""; ; {
		page := &v1alpha1.StoreHistory{}
		if err := request().Param("continue", next).Do(ctx).Into(page); err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			if h.all || !statusOnly(item) {
				found.Items = append(found.Items, item)
			}
			if h.limit > 0 && len(found.Items) == h.limit {
				return found, nil
			}
		}
		if next = page.Continue; next == "" {
			return found, nil
		}
	}
}

// statusOnly is true for a revision that says how the shop is, and not what
// somebody wants.
func statusOnly(item v1alpha1.StoreRevision) bool {
	return !slices.ContainsFunc(item.Changes, func(c v1alpha1.FieldChange) bool { return !strings.HasPrefix(c.Path, "status") })
}

// table prints a line for each change, with its revision on the first. A wide one
// has the IDs of the requests too.
func (h *history) table(found *v1alpha1.StoreHistory, wide bool) error {
	table := tabwriter.NewWriter(h.Out, 0, 0, 3, ' ', 0)
	columns := []string{"REVISION", "TIME", "USER", "VERB"}
	if wide {
		columns = append(columns, "AUDIT-ID")
	}
	_, _ = fmt.Fprintln(table, strings.Join(columns, "\t")+"\tCHANGE")
	for _, item := range found.Items {
		cells := []string{item.ResourceVersion, item.Time.UTC().Format(time.RFC3339), cmp.Or(item.User, "<none>"), item.Verb}
		if wide {
			cells = append(cells, cmp.Or(item.AuditID, "<none>"))
		}
		lead := strings.Join(cells, "\t")
		if item.Verb == "create" || len(item.Changes) == 0 {
			_, _ = fmt.Fprintf(table, "%s\t\n", lead)
			continue
		}
		for _, change := range item.Changes {
			_, _ = fmt.Fprintf(table, "%s\t%s: %s -> %s\n", lead, change.Path, short(change.From), short(change.To))
			lead = strings.Repeat("\t", len(cells)-1)
		}
	}
	return table.Flush()
}

// short is a value that fits in a line. It is quoted if the terminal might take
// it for something else.
func short(value *string) string {
	if value == nil {
		return "<none>"
	}
	const most = 60
	text := []rune(*value)
	if len(text) > most {
		text = append(text[:most-1], '…')
	}
	if quoted := fmt.Sprintf("%q", string(text)); quoted != `"`+string(text)+`"` || len(text) == 0 {
		return quoted
	}
	return string(text)
}
