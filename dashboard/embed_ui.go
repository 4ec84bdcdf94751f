//go:build ui

package dashboard

import "embed"

const folder = "dist"

//go:embed all:dist
var files embed.FS
