package deploy

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const manifests = "../../../deploy/kubernetes"

var members = []string{"hospital", "clinic", "payer", "regulator"}

func objects(t *testing.T) []runtime.Object {
	t.Helper()
	documents, err := Build(manifests)
	if err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	for _, document := range documents {
		object, err := Decode(document)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		all = append(all, object)
	}
	return all
}

func only[T runtime.Object](all []runtime.Object) []T {
	var found []T
	for _, object := range all {
		if one, is := object.(T); is {
			found = append(found, one)
		}
	}
	return found
}

func TestEveryManifestHasTheFormOfItsKind(t *testing.T) {
	if found := len(objects(t)); found < 15 {
		t.Fatalf("%d documents", found)
	}
}

func TestEveryMemberIsAStatefulSetOfItsOwn(t *testing.T) {
	sets := only[*appsv1.StatefulSet](objects(t))
	if len(sets) != len(members) {
		t.Fatalf("%d members", len(sets))
	}
	for index, set := range sets {
		name := members[index] + "-salus"
		if set.Name != name || set.Namespace != "salus" || set.Spec.ServiceName != name || *set.Spec.Replicas != 1 {
			t.Errorf("%s: service %s, %d replicas", set.Name, set.Spec.ServiceName, *set.Spec.Replicas)
		}
		for key, value := range set.Spec.Selector.MatchLabels {
			if set.Spec.Template.Labels[key] != value {
				t.Errorf("%s: its selector misses its pods: %s", set.Name, key)
			}
		}
		if set.Spec.Selector.MatchLabels["salus.example/member"] != members[index] {
			t.Errorf("%s: selects pods of other members", set.Name)
		}
		claims := set.Spec.VolumeClaimTemplates
		if len(claims) != 1 || claims[0].Spec.AccessModes[0] != corev1.ReadWriteOncePod {
			t.Errorf("%s: its data could be opened by two pods", set.Name)
		}
		if set.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted != appsv1.RetainPersistentVolumeClaimRetentionPolicyType {
			t.Errorf("%s: its data goes with it", set.Name)
		}
	}
}

func TestPodsMayDoNothingButTheirWork(t *testing.T) {
	for _, set := range only[*appsv1.StatefulSet](objects(t)) {
		pod := set.Spec.Template.Spec
		if !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: pod security", set.Name)
		}
		if pod.HostNetwork || pod.HostPID || pod.HostIPC || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: shares the machine or holds a token", set.Name)
		}
		for _, container := range append(pod.InitContainers, pod.Containers...) {
			context := container.SecurityContext
			if !*context.ReadOnlyRootFilesystem || *context.AllowPrivilegeEscalation || context.Capabilities.Drop[0] != "ALL" {
				t.Errorf("%s %s: container security", set.Name, container.Name)
			}
			if container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s %s: no resources", set.Name, container.Name)
			}
			if strings.HasSuffix(container.Image, ":latest") || !strings.Contains(container.Image, ":") {
				t.Errorf("%s %s: image %s", set.Name, container.Name, container.Image)
			}
			if len(container.Env) > 0 {
				t.Errorf("%s %s: values in the environment", set.Name, container.Name)
			}
		}
		node := pod.Containers[0]
		if node.LivenessProbe.HTTPGet.Path != "/healthz" || node.ReadinessProbe.HTTPGet.Path != "/readyz" {
			t.Errorf("%s: probes", set.Name)
		}
	}
}

func TestSecretsAreReferencesOfOnesOwn(t *testing.T) {
	all := objects(t)
	if found := only[*corev1.Secret](all); len(found) > 0 {
		t.Errorf("%d secrets stand in the manifests", len(found))
	}
	for index, set := range only[*appsv1.StatefulSet](all) {
		var names []string
		for _, volume := range set.Spec.Template.Spec.Volumes {
			if volume.Secret != nil {
				names = append(names, volume.Secret.SecretName)
			}
		}
		if len(names) != 1 || names[0] != members[index]+"-seed" {
			t.Errorf("%s: secrets %v", set.Name, names)
		}
	}
}

func TestNothingIsOpenThatNoPolicyNames(t *testing.T) {
	all := objects(t)
	denied := false
	for _, policy := range only[*networkingv1.NetworkPolicy](all) {
		isForAll := len(policy.Spec.PodSelector.MatchLabels) == 0 && len(policy.Spec.PodSelector.MatchExpressions) == 0
		if isForAll && len(policy.Spec.Ingress) == 0 && len(policy.Spec.Egress) == 0 && len(policy.Spec.PolicyTypes) == 2 {
			denied = true
		}
		for _, rule := range policy.Spec.Ingress {
			if len(rule.From) == 0 || len(rule.Ports) == 0 {
				t.Errorf("%s: opens a port to everybody, or every port", policy.Name)
			}
		}
	}
	if !denied {
		t.Error("no policy denies the rest")
	}
	for _, service := range only[*corev1.Service](all) {
		if service.Spec.Type != "" && service.Spec.Type != corev1.ServiceTypeClusterIP {
			t.Errorf("%s: reachable from outside", service.Name)
		}
		if !service.Spec.PublishNotReadyAddresses {
			t.Errorf("%s: members that wait for each other would not find each other", service.Name)
		}
	}
}

func TestBrokenManifestsAreRefused(t *testing.T) {
	documents, err := Build(manifests)
	if err != nil {
		t.Fatal(err)
	}
	var set string
	for _, document := range documents {
		if strings.Contains(document, "kind: StatefulSet") {
			set = document
			break
		}
	}
	for name, change := range map[string][2]string{
		"a member that the type does not have": {"serviceName:", "serviceNames:"},
		"a number that is a text":              {"replicas: 1", "replicas: one"},
		"a required member that is not there":  {"  selector:\n    matchLabels:", "  minReadySeconds: 1\n  x-selector:\n    matchLabels:"},
		"a version that never was":             {"apiVersion: apps/v1", "apiVersion: apps/v9"},
		"a quantity that is none":              {"storage: 50Gi", "storage: 50Gx"},
		"a container without a name":           {"name: first-start", "workingDir: first-start"},
	} {
		broken := strings.Replace(set, change[0], change[1], 1)
		if broken == set {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := Decode(broken); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
