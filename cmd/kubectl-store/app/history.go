package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// history shows a store's past.
type history struct {
	*plugin
	output *genericclioptions.PrintFlags
	all    bool
	diff   bool
	watch  bool
	limit  int
}

func (p *plugin) newHistory() *cobra.Command {
	h := &history{plugin: p, output: printFlags("")}
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show who changed a store, when and what",
		Long: `Show who changed a store, when and what, the latest first. If there is no store of the
name, it is the history of the last that had it.`,
		Example: `  # Who changed the store
  kubectl store history flowers

  # With the programs that did it, and the IDs that the audit logs of the cluster give the requests
  kubectl store history flowers -o wide

  # All that each revision changed
  kubectl store history flowers --diff

  # Go on with what is changed from now on, and what the provisioner reports
  kubectl store history flowers --all --watch`,
		ValidArgsFunction: p.completeStores,
		RunE:              named(h.run),
	}
	cmd.Flags().BoolVar(&h.all, "all", false, "Show also what only reported the store's status.")
	cmd.Flags().BoolVar(&h.diff, "diff", false, "Show each revision with all that it changed, the field before and after.")
	cmd.Flags().BoolVarP(&h.watch, "watch", "w", false, "Go on with what is changed from now on. The latest then come last.")
	cmd.Flags().IntVar(&h.limit, "limit", 0, "Show the latest so many revisions. The default is all.")
	addWideOutput(cmd, h.output)
	completeFlags(cmd, map[string]cobra.CompletionFunc{"output": formats(h.output, "wide")})
	return cmd
}

func (h *history) run(ctx context.Context, name string) error {
	if h.diff && h.output.OutputFlagSpecified() {
		return errors.New("--diff and --output must not be given together: leave one of them out")
	}
	show, err := h.printer()
	if err != nil {
		return err
	}
	stores, _, err := h.stores()
	if err != nil {
		return err
	}
	// What is written from here on is watched for.
	selector := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	since := ""
	if h.watch {
		list, err := stores.List(ctx, selector)
		if err != nil {
			return err
		}
		since = list.ResourceVersion
	}
	found, err := h.collect(ctx, name, 0)
	if err != nil {
		return err
	}
	if !h.watch {
		return show(found)
	}
	source := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		options.FieldSelector = selector.FieldSelector
		return stores.Watch(ctx, options)
	}}
	var latest int64
	more := func(found *v1alpha1.StoreHistory) error {
		if len(found.Items) == 0 {
			return nil
		}
		latest = number(found.Items[0].ResourceVersion)
		slices.Reverse(found.Items)
		return show(found)
	}
	if err := more(found); err != nil {
		return err
	}
	h.limit = 0
	_, err = watchtools.Until(ctx, since, source, func(watch.Event) (bool, error) {
		found, err := h.collect(ctx, name, latest)
		if err != nil {
			return false, err
		}
		return false, more(found)
	})
	return err
}

// number is a revision as one that can be compared, 0 if it is none.
func number(revision string) int64 {
	n, _ := strconv.ParseInt(revision, 10, 64)
	return n
}

// collect reads page after page of what is newer than a revision, until there is as
// much as was asked for.
func (h *history) collect(ctx context.Context, name string, known int64) (*v1alpha1.StoreHistory, error) {
	found := &v1alpha1.StoreHistory{Items: []v1alpha1.StoreRevision{}}
	for next := ""; ; {
		request, err := h.request(name)
		if err != nil {
			return nil, err
		}
		page := &v1alpha1.StoreHistory{}
		if err := request.SubResource("history").Param("continue", next).Do(ctx).Into(page); err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			if number(item.ResourceVersion) <= known {
				return found, nil
			}
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
	return item.Verb == "update" &&
		!slices.ContainsFunc(item.Changes, func(c v1alpha1.FieldChange) bool { return !strings.HasPrefix(c.Path, "status") })
}

// printer returns what shows revisions. It may be called again for later ones.
func (h *history) printer() (func(*v1alpha1.StoreHistory) error, error) {
	wide := *h.output.OutputFormat == "wide"
	switch {
	case h.diff:
		return h.diffs, nil
	case wide || !h.output.OutputFlagSpecified() && *h.output.TemplatePrinterFlags.TemplateArgument == "":
		table, headed := printers.GetNewTabWriter(h.Out), false
		return func(found *v1alpha1.StoreHistory) error {
			columns := []string{"REVISION", "TIME", "USER", "VERB"}
			if wide {
				columns = append(columns, "MANAGER", "SOURCE", "AUDIT-ID")
			}
			if !headed {
				_, _ = fmt.Fprintln(table, strings.Join(columns, "\t")+"\tCHANGE")
				headed = true
			}
			writeRows(table, found, wide)
			return table.Flush()
		}, nil
	}
	printer, err := h.output.ToPrinter()
	return func(found *v1alpha1.StoreHistory) error { return printer.PrintObj(found, h.Out) }, err
}

// writeRows writes a line for each change, with its revision on the first.
func writeRows(table io.Writer, found *v1alpha1.StoreHistory, wide bool) {
	for _, item := range found.Items {
		cells := []string{item.ResourceVersion, item.Time.UTC().Format(time.RFC3339), cmp.Or(item.User, "<none>"), item.Verb}
		if wide {
			cells = append(cells, cmp.Or(item.Manager, "<none>"), cmp.Or(strings.Join(item.SourceIPs, ","), "<none>"), cmp.Or(item.AuditID, "<none>"))
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
}

// diffs prints each revision with its changes, as version control does.
func (h *history) diffs(found *v1alpha1.StoreHistory) error {
	var text strings.Builder
	for _, item := range found.Items {
		fmt.Fprintf(&text, "revision %s\nUser:     %s\nTime:     %s\nVerb:     %s\nManager:  %s\nSource:   %s\nAudit ID: %s\n\n", item.ResourceVersion,
			cmp.Or(item.User, "<none>"), item.Time.UTC().Format(time.RFC3339Nano), item.Verb, cmp.Or(item.Manager, "<none>"),
			cmp.Or(strings.Join(item.SourceIPs, ", "), "<none>"), cmp.Or(item.AuditID, "<none>"))
		for _, change := range item.Changes {
			if !h.all && strings.HasPrefix(change.Path, "status") {
				continue
			}
			if change.From != nil {
				fmt.Fprintf(&text, "- %s: %s\n", change.Path, safe(*change.From))
			}
			if change.To != nil {
				fmt.Fprintf(&text, "+ %s: %s\n", change.Path, safe(*change.To))
			}
		}
		text.WriteString("\n")
	}
	_, err := io.WriteString(h.Out, text.String())
	return err
}

// short is a value that fits in a line.
func short(value *string) string {
	if value == nil {
		return "<none>"
	}
	const most = 60
	text := []rune(*value)
	if len(text) > most {
		text = append(text[:most-1], '…')
	}
	return safe(string(text))
}

// safe is a text as it is, or quoted if the terminal might take it for something else.
func safe(text string) string {
	if quoted := fmt.Sprintf("%q", text); quoted != `"`+text+`"` || text == "" {
		return quoted
	}
	return text
}
