// Package router serves the Ingresses of its class over HTTP on the host.
package router

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"
)

const (
	// ClassName is the IngressClass that this router serves.
	ClassName = "localcluster"
	// ControllerName is the controller of that class.
	ControllerName = "localcluster.platform.dev/router"
)

// target is the Service port that requests go to.
type target struct {
	namespace string
	backend   networkingv1.IngressServiceBackend
}

// match is how specific the rule is that a request was matched by. Between
// rules that fit, the greater one wins, as the Ingress API has it: an exact
// host before a wildcard, then the longest path, then an exact path.
type match struct {
	exactHost  bool
	pathLength int
	exactPath  bool
}

func (m match) less(other match) bool {
	if m.exactHost != other.exactHost {
		return other.exactHost
	}
	if m.pathLength != other.pathLength {
		return m.pathLength < other.pathLength
	}
	return !m.exactPath && other.exactPath
}

// route finds where a request for host, without port, and path goes. Of equal
// rules the one of the oldest Ingress wins, so nobody can take over a host that
// is in use by making another Ingress for it.
func route(ingresses []*networkingv1.Ingress, host, path string) (target, bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	var best match
	var found *networkingv1.Ingress
	var result target
	for _, ingress := range ingresses {
		if ptr.Deref(ingress.Spec.IngressClassName, "") != ClassName {
			continue
		}
		for _, candidate := range matches(ingress, host, path) {
			if found == nil || best.less(candidate.match) || (!candidate.less(best) && older(ingress, found)) {
				best, found, result = candidate.match, ingress, candidate.target
			}
		}
	}
	return result, found != nil
}

func older(a, b *networkingv1.Ingress) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
}

// candidate is a rule that fits a request.
type candidate struct {
	match
	target target
}

func matches(ingress *networkingv1.Ingress, host, path string) []candidate {
	var fitting []candidate
	if fallback := ingress.Spec.DefaultBackend; fallback != nil && fallback.Service != nil && len(ingress.Spec.Rules) == 0 {
		fitting = append(fitting, candidate{match{pathLength: -1}, target{ingress.Namespace, *fallback.Service}})
	}
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil || !hostFits(rule.Host, host) {
			continue
		}
		for _, p := range rule.HTTP.Paths {
			if p.Backend.Service == nil || !pathFits(p, path) {
				continue
			}
			fitting = append(fitting, candidate{
				match{
					exactHost:  rule.Host == host,
					pathLength: len(p.Path),
					exactPath:  ptr.Deref(p.PathType, "") == networkingv1.PathTypeExact,
				},
				target{ingress.Namespace, *p.Backend.Service},
			})
		}
	}
	return fitting
}

// hostFits matches a rule's host, which may be empty or begin with "*." for
// exactly one label.
func hostFits(rule, host string) bool {
	suffix, wildcard := strings.CutPrefix(rule, "*.")
	if !wildcard {
		return rule == "" || rule == host
	}
	label, rest, found := strings.Cut(host, ".")
	return found && label != "" && rest == suffix
}

// pathFits matches whole path elements for a prefix: /shop fits /shop/cart and
// not /shopping.
func pathFits(rule networkingv1.HTTPIngressPath, path string) bool {
	if ptr.Deref(rule.PathType, "") == networkingv1.PathTypeExact {
		return path == rule.Path
	}
	prefix := strings.TrimSuffix(rule.Path, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}
