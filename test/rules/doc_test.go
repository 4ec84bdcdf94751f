// Package rules tests what can be read off the source: what programs may never
// do, and that what is promised in writing exists.
package rules

import "path/filepath"

// root is the repository's folder.
var root = filepath.Join("..", "..")
