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

func stateful(t *testing.T, all []runtime.Object) map[string]*appsv1.StatefulSet {
	t.Helper()
	sets := map[string]*appsv1.StatefulSet{}
	for _, set := range only[*appsv1.StatefulSet](all) {
		sets[set.Name] = set
	}
	if len(sets) != 2*len(members) {
		t.Fatalf("%d sets", len(sets))
	}
	return sets
}

func TestEveryManifestHasTheFormOfItsKind(t *testing.T) {
	if found := len(objects(t)); found < 35 {
		t.Fatalf("%d documents", found)
	}
}

func TestEveryMemberAndItsDatabaseAreStatefulSetsOfTheirOwn(t *testing.T) {
	sets := stateful(t, objects(t))
	for _, member := range members {
		for _, name := range []string{member + "-salus", member + "-db"} {
			set := sets[name]
			if set == nil {
				t.Fatalf("%s is not there", name)
			}
			if set.Namespace != "salus" || set.Spec.ServiceName != name || *set.Spec.Replicas != 1 {
				t.Errorf("%s: service %s, %d replicas", set.Name, set.Spec.ServiceName, *set.Spec.Replicas)
			}
			for key, value := range set.Spec.Selector.MatchLabels {
				if set.Spec.Template.Labels[key] != value {
					t.Errorf("%s: its selector misses its pods: %s", set.Name, key)
				}
			}
			if set.Spec.Selector.MatchLabels["salus.example/member"] != member {
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
}

func TestPodsMayDoNothingButTheirWork(t *testing.T) {
	for name, set := range stateful(t, objects(t)) {
		user := int64(nodeUser)
		if strings.HasSuffix(name, "-db") {
			user = databaseUser
		}
		for _, fault := range podFaults(set.Spec.Template.Spec, user) {
			t.Errorf("%s: %s", name, fault)
		}
		main := set.Spec.Template.Spec.Containers[0]
		if user == nodeUser {
			if main.LivenessProbe.HTTPGet.Path != "/healthz" || main.ReadinessProbe.HTTPGet.Path != "/readyz" {
				t.Errorf("%s: probes", name)
			}
			continue
		}
		for _, probe := range []*corev1.Probe{main.StartupProbe, main.LivenessProbe, main.ReadinessProbe} {
			if !strings.Contains(strings.Join(probe.Exec.Command, " "), "pg_isready -q -h 127.0.0.1") {
				t.Errorf("%s: probes", name)
			}
		}
	}
}

func TestMembersAreKeptApartFromEachOther(t *testing.T) {
	sets := stateful(t, objects(t))
	for _, member := range members {
		term := sets[member+"-salus"].Spec.Template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0]
		for _, other := range members {
			if !selects(term.PodAffinityTerm.LabelSelector, sets[other+"-salus"].Spec.Template.Labels) {
				t.Errorf("%s does not keep away from %s", member, other)
			}
		}
	}
}

func TestNoSecretStandsInTheManifests(t *testing.T) {
	all := objects(t)
	if found := only[*corev1.Secret](all); len(found) > 0 {
		t.Errorf("%d secrets stand in the manifests", len(found))
	}
	for _, config := range only[*corev1.ConfigMap](all) {
		script := config.Data["database-first-start.sql"]
		if len(config.Data) != 1 || !strings.Contains(script, "PASSWORD :'password'") || strings.Contains(script, "PASSWORD '") {
			t.Errorf("%s: a password, or none", config.Name)
		}
	}
}

func TestEveryMemberHasADatabaseThatNobodyElseReaches(t *testing.T) {
	for _, fault := range databaseFaults(objects(t), members) {
		t.Error(fault)
	}
}

func TestRowsAreMovedIntoTheDatabaseBeforeTheMemberStarts(t *testing.T) {
	for name, set := range stateful(t, objects(t)) {
		pod := set.Spec.Template.Spec
		if strings.HasSuffix(name, "-db") {
			continue
		}
		if len(pod.InitContainers) != 2 || pod.InitContainers[0].Name != "first-start" {
			t.Fatalf("%s: what its first start does", name)
		}
		if command := strings.Join(pod.InitContainers[1].Args, " "); command != "store move postgres --data /data" {
			t.Errorf("%s: %s", name, command)
		}
		for _, container := range []corev1.Container{pod.InitContainers[1], pod.Containers[0]} {
			values := map[string]corev1.EnvVar{}
			for _, one := range container.Env {
				values[one.Name] = one
			}
			store := values["SALUS_DATABASE"].Value
			if !strings.HasPrefix(store, "postgres://salus@$(MEMBER)-db:5432/salus?") || !strings.Contains(store, "sslmode=verify-full") {
				t.Errorf("%s %s: its database is %s", name, container.Name, store)
			}
			// What a value names must stand before it.
			if container.Env[0].Name != "MEMBER" || container.Env[0].ValueFrom.FieldRef.FieldPath != "metadata.labels['salus.example/member']" {
				t.Errorf("%s %s: does not know its name", name, container.Name)
			}
		}
	}
}

func TestDatabasesAreSetUpForWhatTheyKeep(t *testing.T) {
	for name, set := range stateful(t, objects(t)) {
		if !strings.HasSuffix(name, "-db") {
			continue
		}
		pod := set.Spec.Template.Spec
		server := pod.Containers[0]
		if server.Image != databaseImage || !strings.Contains(strings.Join(server.Args, " "), "-c ssl=on ") {
			t.Errorf("%s: %s %v", name, server.Image, server.Args)
		}
		written := map[string]bool{}
		for _, mount := range server.VolumeMounts {
			written[mount.MountPath] = !mount.ReadOnly
		}
		for _, path := range []string{"/var/lib/postgresql/data", "/var/run/postgresql", "/tmp", "/dev/shm"} {
			if !written[path] {
				t.Errorf("%s: cannot write to %s", name, path)
			}
		}
		isChecked := false
		for _, one := range server.Env {
			isChecked = isChecked || (one.Name == "POSTGRES_INITDB_ARGS" && strings.Contains(one.Value, "--data-checksums"))
		}
		if !isChecked {
			t.Errorf("%s: without checksums", name)
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
		if strings.HasSuffix(service.Name, "-salus") && !service.Spec.PublishNotReadyAddresses {
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
		if strings.Contains(document, "kind: StatefulSet") && strings.Contains(document, "-seed") {
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
		"a reference without a key":            {"              key: password\n", ""},
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

func TestManifestsThatBreakTheRulesAreRefused(t *testing.T) {
	documents, err := Build(manifests)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(documents, "---\n")
	isIn := func(kind, name string) string {
		return "kind: " + kind + "\nmetadata:\n  labels:\n    salus.example/member: " + name
	}
	set, policy := isIn("StatefulSet", "payer"), isIn("NetworkPolicy", "payer")
	for name, change := range map[string][3]string{
		"a database that every member reaches":   {policy, "          app.kubernetes.io/name: salus\n          salus.example/member: payer\n", "          app.kubernetes.io/name: salus\n"},
		"a database that everybody reaches":      {policy, "  - from:\n    - podSelector:\n        matchLabels:\n          app.kubernetes.io/name: salus\n          salus.example/member: payer\n    ports:", "  - ports:"},
		"a database without a policy of its own": {policy, "app.kubernetes.io/name: salus-db", "app.kubernetes.io/name: nobody"},
		"a database that may go out":             {policy, "  ingress:", "  egress:\n  - {}\n  ingress:"},
		"a database of another's member":         {policy, "          salus.example/member: payer", "          salus.example/member: clinic"},
		"another's secret":                       {set, "secretName: payer-db", "secretName: clinic-db"},
		"another's password":                     {set, "name: payer-db\n", "name: clinic-db\n"},
		"a password in the environment":          {set, "name: POSTGRES_PASSWORD_FILE", "name: POSTGRES_PASSWORD"},
		"a password in the address":              {set, "postgres://salus@", "postgres://salus:x@"},
		"a database of root":                     {set, "runAsUser: 999", "runAsUser: 0"},
		"capabilities":                           {set, "- ALL", "- NET_RAW"},
		"a file system that can be written":      {set, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"},
	} {
		// Of several documents that begin so, those are changed that have what is to be changed.
		parts := strings.Split(text, "---\n")
		isChanged := false
		for index, part := range parts {
			if strings.Contains(part, change[0]) && strings.Contains(part, change[1]) {
				parts[index] = strings.ReplaceAll(part, change[1], change[2])
				isChanged = true
			}
		}
		if !isChanged {
			t.Errorf("%s: nothing was changed", name)
		}
		var all []runtime.Object
		for _, part := range parts {
			object, err := Decode(part)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all = append(all, object)
		}
		if len(databaseFaults(all, members)) == 0 {
			t.Errorf("%s was accepted", name)
		}
	}
}
