"""The closed list of reason codes: family, text in two languages, Form C-1 number.

Form C-1 is the sample notice of Regulation B (12 CFR 1002, appendix C); its
numbers are the open standard for why credit was not given as asked. `C1_OTHER`
is its line 24. Families T (time-out, degraded) and S (switched off) explain a
referral only and may never be the reason of a refusal.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

C1_OTHER = 24


class Reason(NamedTuple):
    """Texts and mapping of one reason code."""

    family: str
    text_en: str
    text_zh: str
    form_c1: int


class ReasonCode(StrEnum):
    """Every code a decision can carry."""

    CONSENT_MISSING = "C_CONSENT_MISSING"
    CONSENT_EXPIRED = "C_CONSENT_EXPIRED"
    CONSENT_REVOKED = "C_CONSENT_REVOKED"
    CANCELLED = "C_CANCELLED"
    HUMAN_REQUESTED = "C_HUMAN_REQUESTED"
    DATA_INCOMPLETE = "C_DATA_INCOMPLETE"
    HALTED = "S_HALTED"
    BREAKER = "S_BREAKER"
    LATE = "T_LATE"
    STORE_STALE = "T_STORE_STALE"
    MODEL_FAILED = "T_MODEL_FAILED"
    PRODUCT_UNKNOWN = "R_PRODUCT_UNKNOWN"
    AMOUNT_OVER_CAP = "R_AMOUNT_OVER_CAP"
    AMOUNT_UNDER_MIN = "R_AMOUNT_UNDER_MIN"
    TERM_OUTSIDE = "R_TERM_OUTSIDE"
    PURPOSE_BARRED = "R_PURPOSE_BARRED"
    CURRENCY = "R_CURRENCY"
    NOT_LISTED = "W_NOT_LISTED"
    OFFER_MISMATCH = "W_OFFER_MISMATCH"
    OFFER_SUSPENDED = "W_OFFER_SUSPENDED"
    OFFER_NOT_VALID = "W_OFFER_NOT_VALID"
    OFFER_LIMIT = "W_OFFER_LIMIT"
    BUREAU_MISSING = "B_MISSING"
    BUREAU_STALE = "B_STALE"
    BUREAU_UNAUTHORISED = "B_UNAUTHORISED"
    BUREAU_NO_FILE = "B_NO_FILE"
    BUREAU_THIN_FILE = "B_THIN_FILE"
    DELINQUENCY = "B_DELINQUENCY"
    PAST_DUE_NOW = "B_PAST_DUE_NOW"
    COLLECTION = "B_COLLECTION"
    INQUIRIES = "B_INQUIRIES"
    PUBLIC_RECORD = "B_PUBLIC_RECORD"
    INCOME_MISSING = "A_INCOME_MISSING"
    AFFORDABILITY = "A_AFFORDABILITY"
    DECLINED = "H_DECLINED"
    NOT_OVERRIDABLE = "H_NOT_OVERRIDABLE"
    EXPOSURE = "E_EXPOSURE"
    BAND_LIMIT = "K_BAND_LIMIT"
    M_AMOUNT_TERM = "M_AMOUNT_TERM"
    M_AFFORDABILITY = "M_AFFORDABILITY"
    M_EMPLOYMENT = "M_EMPLOYMENT"
    M_DELINQUENCY = "M_DELINQUENCY"
    M_INQUIRIES = "M_INQUIRIES"
    M_UTILISATION = "M_UTILISATION"
    M_CREDIT_DEPTH = "M_CREDIT_DEPTH"
    M_OFFER_USE = "M_OFFER_USE"
    M_BUSINESS_AGE = "M_BUSINESS_AGE"
    M_PRODUCT = "M_PRODUCT"
    M_SECTOR = "M_SECTOR"


R = ReasonCode
REASONS: dict[ReasonCode, Reason] = {
    R.CONSENT_MISSING: Reason("C", "No consent to a machine decision", "未同意自动化决策", 1),
    R.CONSENT_EXPIRED: Reason("C", "Authorisation is not in force", "授权不在有效期内", 1),
    R.CONSENT_REVOKED: Reason("C", "Consent was withdrawn", "申请人已撤回授权", 1),
    R.CANCELLED: Reason("C", "The application was withdrawn", "申请已撤销", C1_OTHER),
    R.HUMAN_REQUESTED: Reason("C", "A person was asked for", "申请人要求人工审批", C1_OTHER),
    R.DATA_INCOMPLETE: Reason("C", "The application is incomplete", "申请资料不完整", 1),
    R.HALTED: Reason("S", "Automatic approval is switched off", "自动审批已暂停", C1_OTHER),
    R.BREAKER: Reason("S", "The approval breaker has tripped", "自动审批熔断", C1_OTHER),
    R.LATE: Reason("T", "The deadline to decide has passed", "已超过审批时限", C1_OTHER),
    R.STORE_STALE: Reason("T", "Customer data is older than allowed", "客户数据已过时效", C1_OTHER),
    R.MODEL_FAILED: Reason("T", "The score could not be computed", "评分暂不可用", C1_OTHER),
    R.PRODUCT_UNKNOWN: Reason("R", "The product is not offered here", "不支持该产品", C1_OTHER),
    R.AMOUNT_OVER_CAP: Reason("R", "Amount above the product's cap", "金额超过产品上限", C1_OTHER),
    R.AMOUNT_UNDER_MIN: Reason("R", "Amount below the minimum", "金额低于产品下限", C1_OTHER),
    R.TERM_OUTSIDE: Reason("R", "Term outside the product's range", "期限不在产品范围内", C1_OTHER),
    R.PURPOSE_BARRED: Reason("R", "The purpose is barred", "贷款用途受限", C1_OTHER),
    R.CURRENCY: Reason("R", "The currency is not offered", "币种不支持", C1_OTHER),
    R.NOT_LISTED: Reason("W", "No standing offer", "无预授信", C1_OTHER),
    R.OFFER_MISMATCH: Reason("W", "The offer is for another segment", "预授信客群不符", C1_OTHER),
    R.OFFER_SUSPENDED: Reason("W", "The offer is suspended", "预授信已暂停", C1_OTHER),
    R.OFFER_NOT_VALID: Reason("W", "The offer is not in force", "预授信不在有效期内", C1_OTHER),
    R.OFFER_LIMIT: Reason("W", "More than the offer's limit", "申请金额超过预授信额度", C1_OTHER),
    R.BUREAU_MISSING: Reason("B", "No bureau report at hand", "缺少征信报告", 14),
    R.BUREAU_STALE: Reason("B", "The bureau report is too old", "征信报告已过期", 14),
    R.BUREAU_UNAUTHORISED: Reason("B", "Bureau use is not authorised", "征信查询未获授权", 1),
    R.BUREAU_NO_FILE: Reason("B", "No credit file", "无信贷记录", 14),
    R.BUREAU_THIN_FILE: Reason("B", "Limited credit experience", "信贷记录不足", 15),
    R.DELINQUENCY: Reason("B", "Late payments with others", "存在逾期记录", 17),
    R.PAST_DUE_NOW: Reason("B", "Accounts past due now", "当前存在逾期", 17),
    R.COLLECTION: Reason("B", "Accounts in collection", "存在催收记录", 18),
    R.INQUIRIES: Reason("B", "Many recent inquiries", "近期征信查询过多", 22),
    R.PUBLIC_RECORD: Reason("B", "Judgment or public record", "存在司法或公共记录", 18),
    R.INCOME_MISSING: Reason("A", "Income cannot be assessed", "无法核实收入", 10),
    R.AFFORDABILITY: Reason("A", "Instalment too high for the income", "月供占收入比例过高", 8),
    R.DECLINED: Reason("H", "A reviewer declined", "人工审批未通过", C1_OTHER),
    R.NOT_OVERRIDABLE: Reason("H", "A rule no reviewer may override", "不可人工通过", C1_OTHER),
    R.EXPOSURE: Reason("E", "Amount already owed or promised", "已有授信余额过高", 9),
    R.BAND_LIMIT: Reason(
        "K", "More than we lend at this level of risk", "申请金额超过该风险等级的额度", C1_OTHER
    ),
    R.M_AMOUNT_TERM: Reason("M", "Amount and term asked for", "申请金额与期限", C1_OTHER),
    R.M_AFFORDABILITY: Reason("M", "Income for the amount asked", "收入与申请金额的比例", 8),
    R.M_EMPLOYMENT: Reason("M", "Length of employment", "工作年限", 7),
    R.M_DELINQUENCY: Reason("M", "Payment history with others", "还款记录", 17),
    R.M_INQUIRIES: Reason("M", "Recent credit inquiries", "近期征信查询次数", 22),
    R.M_UTILISATION: Reason("M", "Use of existing credit lines", "现有额度使用率", 9),
    R.M_CREDIT_DEPTH: Reason("M", "Kinds and number of accounts", "信贷账户数量与类型", 15),
    R.M_OFFER_USE: Reason(
        "M", "Amount against the standing offer", "申请金额与预授信的比例", C1_OTHER
    ),
    R.M_BUSINESS_AGE: Reason("M", "Time in business", "经营年限", C1_OTHER),
    R.M_PRODUCT: Reason("M", "Kind of loan asked for", "申请的贷款类型", C1_OTHER),
    R.M_SECTOR: Reason("M", "Sector of the business", "所属行业", C1_OTHER),
}
