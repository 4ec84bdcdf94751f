package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/storage/codec"
)

// payload is the size of a pod as stored, in bytes.
const payload = 2048

// Servers on etcd and kine have the API server library's codec.
var ourCodec, libraryCodec = func() (runtime.Codec, runtime.Codec) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
	return codec.JSON(scheme, examplev1.SchemeGroupVersion),
		serializer.NewCodecFactory(scheme).LegacyCodec(examplev1.SchemeGroupVersion)
}()

// padding is text that does not compress; pods are filled with pieces of it.
var padding = func() string {
	noise := make([]byte, 1<<20)
	var seed [32]byte
	_, _ = rand.NewChaCha8(seed).Read(noise)
	return base64.StdEncoding.EncodeToString(noise)
}()

// emptyPod is the size of a pod without padding.
var emptyPod = func() int {
	encoded, err := runtime.Encode(ourCodec, newPod(podName(0), 0))
	utilruntime.Must(err)
	return len(encoded)
}()

var podsMade atomic.Int64

func podName(n int64) string { return fmt.Sprintf("pod-%09d", n) }

// freshPod returns a pod with a name that no other has, and its key.
func freshPod() (string, *example.Pod) {
	name := podName(podsMade.Add(1))
	return podKey(name), newPod(name, payload-emptyPod)
}

func podKey(name string) string { return "/pods/bench/" + name }

func newPod(name string, size int) *example.Pod {
	at := 0
	if size > 0 {
		at = rand.IntN(len(padding) - size)
	}
	return &example.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "bench", Name: name, UID: "2f9d9e4c-3b8e-4f0e-9e0a-6c8b4f1d7a55",
		Labels:      map[string]string{"app": "bench"},
		Annotations: map[string]string{"padding": padding[at : at+size], "counter": "0"},
	}}
}

func attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod := obj.(*example.Pod)
	return pod.Labels, fields.Set{"metadata.name": pod.Name, "metadata.namespace": pod.Namespace}, nil
}
