//go:build !ui

package dashboard

import "embed"

const folder = "unbuilt"

//go:embed unbuilt
var files embed.FS
