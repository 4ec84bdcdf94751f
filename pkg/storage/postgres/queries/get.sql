select meta.rev, head.mod, log.value
from meta
left join head on head.key = $1
left join log on log.rev = head.mod;
