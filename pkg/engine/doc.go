// Package engine gives an Engine object its meaning: which version and plan a
// Store gets, which chart values its fields become, which secrets it needs,
// and which answers of its storefront count as selling.
//
// Every function is pure. Nothing here reads a clock, talks to a cluster or
// changes what it is given, so the API server and the provisioner can both ask
// and get the same answer.
package engine
