package crash

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// readAudit returns the successful writes in the namespaces of stores that the
// kube-apiserver's audit log tells of. What was cut off in the middle by the server's
// end is left out.
func readAudit(path string) ([]*write, error) {
	log, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	var writes []*write
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var event auditv1.Event
		if json.Unmarshal(lines.Bytes(), &event) != nil || event.ObjectRef == nil || event.ResponseStatus == nil {
			continue
		}
		namespace := event.ObjectRef.Namespace
		if namespace == "" && event.ObjectRef.Resource == "namespaces" {
			namespace = event.ObjectRef.Name
		}
		if !strings.HasPrefix(namespace, "store-") || event.ResponseStatus.Code >= 300 || readOnly(event.Verb) {
			continue
		}
		resource := event.ObjectRef.Resource
		if event.ObjectRef.Subresource != "" {
			resource += "/" + event.ObjectRef.Subresource
		}
		writes = append(writes, &write{
			By: event.UserAgent, Namespace: namespace, Verb: event.Verb, Resource: resource, Name: event.ObjectRef.Name,
			Began: event.RequestReceivedTimestamp.Time, Ended: event.StageTimestamp.Time,
		})
	}
	return writes, lines.Err()
}

func readOnly(verb string) bool { return verb == "get" || verb == "list" || verb == "watch" }
