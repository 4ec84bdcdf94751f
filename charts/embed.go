// Package charts holds the Helm charts that are part of the programs.
package charts

import (
	"embed"
	"io/fs"
)

// "all:" because embedding skips files that begin with "_", and so _helpers.tpl.
//
//go:embed all:medusa all:woocommerce
var content embed.FS

// FS has a folder for each engine's chart, named like the chart.
func FS() fs.FS { return content }
