package deploy

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	databaseImage = "docker.io/library/postgres:17.11-bookworm"
	databasePort  = 5432
)

func only[T runtime.Object](all []runtime.Object) []T {
	var found []T
	for _, object := range all {
		if one, is := object.(T); is {
			found = append(found, one)
		}
	}
	return found
}

func selects(selector *metav1.LabelSelector, pod labels.Set) bool {
	matcher, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && matcher.Matches(pod)
}

func names(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, pod labels.Set, port int) bool {
	isPeer := len(peers) == 0 || slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		return peer.NamespaceSelector == nil && peer.IPBlock == nil && selects(peer.PodSelector, pod)
	})
	isPort := len(ports) == 0 || slices.ContainsFunc(ports, func(one networkingv1.NetworkPolicyPort) bool {
		return one.Port == nil || one.Port.IntValue() == port
	})
	return isPeer && isPort
}

// reaches says whether policies let a pod talk to another of the same namespace: out of the one, and into the other. A
// direction is open where no policy of that direction selects the pod.
func reaches(policies []*networkingv1.NetworkPolicy, from, to labels.Set, port int) bool {
	isOut, isIn, mayLeave, mayEnter := false, false, false, false
	for _, policy := range policies {
		spec := policy.Spec
		if slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeEgress) && selects(&spec.PodSelector, from) {
			isOut = true
			for _, rule := range spec.Egress {
				mayLeave = mayLeave || names(rule.To, rule.Ports, to, port)
			}
		}
		if slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress) && selects(&spec.PodSelector, to) {
			isIn = true
			for _, rule := range spec.Ingress {
				mayEnter = mayEnter || names(rule.From, rule.Ports, from, port)
			}
		}
	}
	return (!isOut || mayLeave) && (!isIn || mayEnter)
}

// secretsOf names the secrets that a pod is given, each once.
func secretsOf(pod corev1.PodSpec) []string {
	var found []string
	for _, volume := range pod.Volumes {
		if volume.Secret != nil {
			found = append(found, volume.Secret.SecretName)
		}
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, one := range container.Env {
			if one.ValueFrom != nil && one.ValueFrom.SecretKeyRef != nil {
				found = append(found, one.ValueFrom.SecretKeyRef.Name)
			}
		}
		for _, from := range container.EnvFrom {
			found = append(found, fmt.Sprintf("all of %s", from.Prefix))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// podFaults says what a pod may do beyond its work.
func podFaults(pod corev1.PodSpec, user int64) []string {
	var faults []string
	context := pod.SecurityContext
	if context == nil || context.RunAsNonRoot == nil || !*context.RunAsNonRoot || context.RunAsUser == nil || *context.RunAsUser != user ||
		context.SeccompProfile == nil || context.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		faults = append(faults, "pod security")
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC || pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		faults = append(faults, "shares the machine or holds a token")
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, fault := range containerFaults(container) {
			faults = append(faults, container.Name+": "+fault)
		}
	}
	return faults
}

func containerFaults(container corev1.Container) []string {
	var faults []string
	isSet := func(flag *bool, value bool) bool { return flag != nil && *flag == value }
	context := container.SecurityContext
	if context == nil || !isSet(context.ReadOnlyRootFilesystem, true) || !isSet(context.AllowPrivilegeEscalation, false) || context.Privileged != nil ||
		context.Capabilities == nil || len(context.Capabilities.Add) > 0 || !slices.Contains(context.Capabilities.Drop, "ALL") {
		faults = append(faults, "container security")
	}
	if container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() {
		faults = append(faults, "no resources")
	}
	if strings.HasSuffix(container.Image, ":latest") || !strings.Contains(container.Image, ":") {
		faults = append(faults, "image "+container.Image)
	}
	for _, one := range container.Env {
		if one.ValueFrom == nil && holdsSecret(one.Name, strings.ReplaceAll(one.Value, "$(MEMBER)", "member")) {
			faults = append(faults, "a secret in "+one.Name)
		}
	}
	return faults
}

// databaseFaults names the rules that the members' databases break.
func databaseFaults(all []runtime.Object, members []string) []string {
	var faults []string
	sets := map[string]*appsv1.StatefulSet{}
	for _, set := range only[*appsv1.StatefulSet](all) {
		sets[set.Name] = set
	}
	policies := only[*networkingv1.NetworkPolicy](all)
	for _, member := range members {
		name := member + "-db"
		database, node := sets[name], sets[member+"-salus"]
		if database == nil || node == nil {
			return append(faults, name+": not there")
		}
		for _, fault := range podFaults(database.Spec.Template.Spec, databaseUser) {
			faults = append(faults, name+": "+fault)
		}
		for _, fault := range podFaults(node.Spec.Template.Spec, nodeUser) {
			faults = append(faults, node.Name+": "+fault)
		}
		if secrets := secretsOf(database.Spec.Template.Spec); !slices.Equal(secrets, []string{name}) {
			faults = append(faults, fmt.Sprintf("%s: secrets %v", name, secrets))
		}
		if secrets := secretsOf(node.Spec.Template.Spec); !slices.Equal(secrets, []string{name, member + "-seed"}) {
			faults = append(faults, fmt.Sprintf("%s: secrets %v", node.Name, secrets))
		}
		at := labels.Set(database.Spec.Template.Labels)
		for other, set := range sets {
			from := labels.Set(set.Spec.Template.Labels)
			if reaches(policies, from, at, databasePort) != (other == node.Name) {
				faults = append(faults, fmt.Sprintf("%s: whether %s reaches it", name, other))
			}
			if set != database && reaches(policies, at, from, databasePort) {
				faults = append(faults, fmt.Sprintf("%s: reaches %s", name, other))
			}
		}
		faults = append(faults, exits(policies, name, at)...)
	}
	return faults
}

// exits are the rules that let a pod out to anywhere, other namespaces and addresses included.
func exits(policies []*networkingv1.NetworkPolicy, name string, pod labels.Set) []string {
	var faults []string
	isConfined := false
	for _, policy := range policies {
		if !slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) || !selects(&policy.Spec.PodSelector, pod) {
			continue
		}
		isConfined = true
		if len(policy.Spec.Egress) > 0 {
			faults = append(faults, fmt.Sprintf("%s: %s lets it out", name, policy.Name))
		}
	}
	if !isConfined {
		faults = append(faults, name+": nothing keeps it in")
	}
	return faults
}
