// Package dashboard holds the built user interface of the dashboard.
//
// Node.js builds the interface into the folder dist, which is not part of the
// repository. So that `go build ./...` needs no Node.js, dist is embedded only with
// the build tag "ui", as hack/build.sh does. Without it there is a page that says so.
package dashboard

import "io/fs"

// FS has index.html at its root and files with hashed names in assets.
func FS() fs.FS {
	root, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // only for a name that is no path
	}
	return root
}
