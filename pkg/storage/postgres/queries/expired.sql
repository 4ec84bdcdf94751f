select key, mod from head where expires_at <= now() order by expires_at limit $1;
