// Package command is what the commands of the programs that serve have alike.
package command

import (
	"fmt"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
)

// AddFlags gives a command its flags, and the global ones, with a help text that shows
// them in their sets.
func AddFlags(cmd *cobra.Command, flags cliflag.NamedFlagSets) {
	verflag.AddFlags(flags.FlagSet("global"))
	globalflag.AddGlobalFlags(flags.FlagSet("global"), cmd.Name())
	for _, set := range flags.FlagSets {
		cmd.Flags().AddFlagSet(set)
	}
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, flags, columns)
}

// Begin sets the logs up, by the gates of their features, and logs the flags. It ends
// the process if the flags only ask for its version.
func Begin(cmd *cobra.Command, options *logs.Options, gates featuregate.FeatureGate) error {
	verflag.PrintAndExitIfRequested()
	if err := logsapi.ValidateAndApply(options, gates); err != nil {
		return fmt.Errorf("setting up logs: %w", err)
	}
	cliflag.PrintFlags(cmd.Flags())
	return nil
}
