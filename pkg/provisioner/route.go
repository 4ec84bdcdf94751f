package provisioner

import (
	"context"
	"fmt"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

var httpRoutes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

// routeReady is done when what the chart has made to route the store's host to
// it, Ingresses or HTTPRoutes, has been taken up by a controller. A chart may
// make none: then the cluster routes hosts in its own way.
func (c *Controller) routeReady(ctx context.Context, a *attempt) (result, error) {
	if may, err := c.mayHave(ctx, a, "Ingress", "HTTPRoute"); err != nil {
		return result{}, err
	} else if !may {
		return routeNotRequired(), nil
	}
	ingresses, err := c.kube.NetworkingV1().Ingresses(a.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return result{}, fmt.Errorf("listing Ingresses in namespace %s: %w", a.namespace, err)
	}
	found := ""
	for i := range ingresses.Items {
		ingress := &ingresses.Items[i]
		if !ofRelease(ingress) {
			continue
		}
		found = objectName("Ingress", ingress.Name)
		if !hasAddress(ingress) {
			return waiting("IngressPending", found+" has no address yet: no ingress controller has taken it up.", 0), nil
		}
	}
	routes, err := c.dynamic.Resource(httpRoutes).Namespace(a.namespace).List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsNotFound(err):
		// The cluster has no Gateway API.
		routes = &unstructured.UnstructuredList{}
	case err != nil:
		return result{}, fmt.Errorf("listing HTTPRoutes in namespace %s: %w", a.namespace, err)
	}
	for i := range routes.Items {
		route := &routes.Items[i]
		if !ofRelease(route) {
			continue
		}
		// They are not watched: not every cluster has them.
		found, a.unwatched = objectName("HTTPRoute", route.GetName()), true
		if why := routeProblem(route); why != "" {
			again := pollInterval(a.since(v1alpha1.ConditionRouteReady, c.now()), time.Second, 15*time.Second)
			return waiting("HTTPRoutePending", found+" "+why, again), nil
		}
	}
	if found == "" {
		return routeNotRequired(), nil
	}
	return done("RouteReady", fmt.Sprintf("%s routes %s to the shop.", found, a.store.Spec.Host)), nil
}

func routeNotRequired() result { return done("NotRequired", "The engine's chart makes no route.") }

func hasAddress(ingress *networkingv1.Ingress) bool {
	for _, lb := range ingress.Status.LoadBalancer.Ingress {
		if lb.IP != "" || lb.Hostname != "" {
			return true
		}
	}
	return false
}

// routeProblem says why no Gateway serves the route, or is empty if one does.
func routeProblem(route *unstructured.Unstructured) string {
	var status struct {
		Status struct {
			Parents []struct {
				Conditions []metav1.Condition `json:"conditions"`
			} `json:"parents"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(route.Object, &status); err != nil {
		return "has an unreadable status: " + err.Error()
	}
	problem := "has not been taken up by a Gateway yet."
	for _, parent := range status.Status.Parents {
		accepted := meta.FindStatusCondition(parent.Conditions, "Accepted")
		resolved := meta.FindStatusCondition(parent.Conditions, "ResolvedRefs")
		switch {
		case accepted == nil || accepted.ObservedGeneration < route.GetGeneration():
		case accepted.Status != metav1.ConditionTrue:
			problem = "is not accepted by its Gateway: " + accepted.Message
		case resolved != nil && resolved.Status == metav1.ConditionFalse:
			problem = "refers to what its Gateway cannot find: " + resolved.Message
		default:
			return ""
		}
	}
	return problem
}
