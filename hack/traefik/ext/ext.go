// Package ext is where builds of Traefik with more features add fields to the
// configuration. This one adds none.
package ext

// HTTP is part of the HTTP configuration.
type HTTP struct{}

// Router is part of a router's configuration.
type Router struct{}
