package app

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/cli/browser"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/api/meta"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func (p *plugin) newOpen() *cobra.Command {
	var admin bool
	inBrowser := isTerminal(p.Out)
	cmd := &cobra.Command{
		Use:   "open NAME",
		Short: "Open a shop in the browser",
		Long:  `Print the address of a shop and, if this is a terminal, open it in the browser.`,
		Example: `  # Open the shop
  kubectl store open flowers

  # Open the page where its administrator logs in
  kubectl store open flowers --admin

  # Print the address only
  kubectl store open flowers --browser=false`,
		ValidArgsFunction: p.completeStores,
		RunE: named(func(ctx context.Context, name string) error {
			store, err := p.get(ctx, name)
			if err != nil {
				return err
			}
			address := store.Status.URL
			if admin {
				address = store.Status.AdminURL
			}
			if address == "" {
				return fmt.Errorf("store %q has no address yet%s", store.Name, because(store))
			}
			if err := p.printf("%s", address); err != nil || !inBrowser {
				return err
			}
			return p.browse(address)
		}),
	}
	cmd.Flags().BoolVar(&admin, "admin", false, "Open the page where the administrator logs in.")
	cmd.Flags().BoolVar(&inBrowser, "browser", inBrowser, "Open the address in the browser.")
	return cmd
}

// browse opens an address, which comes from the cluster, in the user's browser.
func (p *plugin) browse(address string) error {
	parsed, err := url.Parse(address)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		return fmt.Errorf("%q is no address of a web page, and was not opened", address)
	}
	browser.Stdout, browser.Stderr = p.ErrOut, p.ErrOut
	if err := browser.OpenURL(parsed.String()); err != nil {
		return fmt.Errorf("opening a browser: %w; with --browser=false the address is only printed", err)
	}
	return nil
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) //nolint:gosec // A file's descriptor is an int.
}

// because tells what a store waits for.
func because(store *v1alpha1.Store) string {
	ready := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return ""
	}
	return fmt.Sprintf(": %s: %s", ready.Reason, ready.Message)
}
